#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_common.h"
#include "app/cli_load_tx.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"
#include "app/files.h"
#include "base/bytes.h"
#include "host/os_random.h"
#include "vm/address.h"

static void address_of(char text[DSMR_ADDRESS_TEXT_LEN + 1], char hex[65],
                       const struct dsmr_ed25519_secret_key *key)
{
    struct dsmr_ed25519_public_key public_key;
    struct dsmr_address address;
    dsmr_ed25519_public(&public_key, key);
    memcpy(address.bytes, public_key.bytes, sizeof(address.bytes));
    dsmr_address_format(text, &address);
    dsmr_hex_encode(hex, address.bytes, sizeof(address.bytes));
}

static void print_key(const struct dsmr_cli_values *values, const char *name,
                      const struct dsmr_ed25519_secret_key *key)
{
    char text[DSMR_ADDRESS_TEXT_LEN + 1];
    char hex[65];
    address_of(text, hex, key);
    if (dsmr_cli_flag(values, "json")) {
        printf("{\"name\":\"%s\",\"address\":\"%s\",\"address_hex\":\"%s\"}\n", name, text, hex);
    } else {
        printf("%-20s %s\n", name, text);
    }
}

/* The same form that testnet writes; never over an existing key. */
static int write_key(const struct dsmr_cli_values *values, const char *name,
                     const struct dsmr_ed25519_secret_key *key)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 128];
    char text[DSMR_ADDRESS_TEXT_LEN + 1];
    char hex[65];
    char secret[65];
    char json[512];
    if (!dsmr_cli_common_keys_dir(values, folder)) {
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "no folder of keys: give --keys DIR");
    }
    if (dsmr_files_make_folder(folder, 0700) != DSMR_OK) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be made: %s", folder,
                             strerror(errno));
    }
    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    if (access(path, F_OK) == 0) {
        return dsmr_cli_fail(values, DSMR_EXIT_REFUSED, "%s exists and is not overwritten", path);
    }
    address_of(text, hex, key);
    dsmr_hex_encode(secret, key->bytes, sizeof(key->bytes));
    int len = snprintf(json, sizeof(json),
                       "{\"name\": \"%s\", \"address\": \"%s\", \"address_hex\": \"%s\", "
                       "\"secret_key\": \"%s\"}\n",
                       name, text, hex, secret);
    enum dsmr_err err = dsmr_files_write(path, json, (size_t)len, 0600);
    explicit_bzero(json, sizeof(json));
    explicit_bzero(secret, sizeof(secret));
    if (err != DSMR_OK) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be written: %s", path,
                             strerror(errno));
    }
    print_key(values, name, key);
    return DSMR_EXIT_OK;
}

static int check_name(const struct dsmr_cli_values *values)
{
    if (!dsmr_cli_common_is_name(values->args[0])) {
        return dsmr_cli_fail(values, DSMR_EXIT_USAGE,
                             "a name has letters, digits, '-', '_' and '.', not \"%s\"",
                             values->args[0]);
    }
    return -1;
}

int dsmr_cli_keys_new(const struct dsmr_cli_values *values)
{
    struct dsmr_ed25519_secret_key key;
    int code = check_name(values);
    if (code < 0) {
        dsmr_os_random(key.bytes, sizeof(key.bytes));
        code = write_key(values, values->args[0], &key);
        explicit_bzero(&key, sizeof(key));
    }
    return code;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_key_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

int dsmr_cli_keys_list(const struct dsmr_cli_values *values)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 300];
    struct dirent **entries = NULL;
    if (!dsmr_cli_common_keys_dir(values, folder)) {
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "no folder of keys: give --keys DIR");
    }
    int count = scandir(folder, &entries, is_key_file, compare_names);
    if (count < 0 && (errno != ENOENT || dsmr_cli_has(values, "keys"))) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be read: %s", folder,
                             strerror(errno));
    }
    int code = DSMR_EXIT_OK;
    for (int i = 0; i < count; i++) {
        struct dsmr_ed25519_secret_key key;
        char *name = entries[i]->d_name;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        name[strlen(name) - 5] = '\0';
        if (dsmr_cli_load_tx_account(&key, path) == DSMR_OK) {
            print_key(values, name, &key);
        } else {
            code = dsmr_cli_fail(values, DSMR_EXIT_DATA, "%s is not a key", path);
        }
        explicit_bzero(&key, sizeof(key));
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* The secret from a file or, with "-", from standard input: never from the command line, where
 * others could see it. */
int dsmr_cli_keys_import(const struct dsmr_cli_values *values)
{
    struct dsmr_ed25519_secret_key key;
    char text[96] = "";
    const char *source = values->args_count > 1 ? values->args[1] : "-";
    int code = check_name(values);
    if (code >= 0) {
        return code;
    }
    FILE *file = strcmp(source, "-") == 0 ? stdin : fopen(source, "re");
    if (file == NULL) {
        return dsmr_cli_fail(values, DSMR_EXIT_IO, "%s: cannot be read: %s", source,
                             strerror(errno));
    }
    bool has_line = fgets(text, sizeof(text), file) != NULL;
    if (file != stdin) {
        (void)fclose(file);
    }
    size_t len = strcspn(text, " \t\r\n");
    if (!has_line || dsmr_hex_decode(key.bytes, sizeof(key.bytes), text, len) != DSMR_OK) {
        code = dsmr_cli_fail(values, DSMR_EXIT_DATA,
                             "%s: a secret key has 64 hexadecimal digits on one line", source);
    } else {
        code = write_key(values, values->args[0], &key);
    }
    explicit_bzero(text, sizeof(text));
    explicit_bzero(&key, sizeof(key));
    return code;
}

int dsmr_cli_keys_export(const struct dsmr_cli_values *values)
{
    struct dsmr_ed25519_secret_key key;
    char secret[65];
    int code = dsmr_cli_common_key(values, &key, values->args[0]);
    if (code < 0) {
        dsmr_hex_encode(secret, key.bytes, sizeof(key.bytes));
        if (dsmr_cli_flag(values, "json")) {
            printf("{\"secret_key\":\"%s\"}\n", secret);
        } else {
            printf("%s\n", secret);
        }
        code = DSMR_EXIT_OK;
    }
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(&key, sizeof(key));
    return code;
}
