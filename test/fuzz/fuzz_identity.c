/* fuzz_identity.c - any bytes as what names a node: a peer's certificate (DER), this node's files
 * in PEM, and a key file; and as an account's file and the place of a node, of the client.
 *
 * Checks: a certificate that has a node id has it from its key alone; a file gives a secret only if
 *         it is 64 digits and perhaps a newline; a refusal of a file is one sentence that begins
 *         with what it is about. An account's file gives a secret only if its digits stand there;
 *         a node's place has a host and a port. */
#undef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_common.h"
#include "app/cli_load_tx.h"
#include "base/bytes.h"
#include "crypto/hash.h"
#include "host/key_file.h"
#include "net/tls_identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void as_certificate(const uint8_t *bytes, size_t len)
{
    const unsigned char *at = bytes;
    struct dsmr_node_id id, again;
    X509 *certificate = d2i_X509(NULL, &at, (long)len);
    if (certificate != NULL && dsmr_tls_identity_of(&id, certificate) == DSMR_OK) {
        unsigned char *key = NULL;
        int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
        struct dsmr_id hash;
        must(key_len > 0);
        dsmr_hash(&hash, key, (size_t)key_len);
        memcpy(again.bytes, hash.bytes, sizeof again.bytes);
        must(dsmr_node_id_equal(&id, &again));
        OPENSSL_free(key);
    }
    X509_free(certificate);
}

static void as_account(const char *path, const uint8_t *bytes, size_t len)
{
    struct dsmr_ed25519_secret_key key;
    struct dsmr_cli_node node;
    char hex[2 * sizeof key.bytes + 1], text[512];
    enum dsmr_err err = dsmr_cli_load_tx_account(&key, path);
    must(err == DSMR_OK || err == DSMR_ERR_CONFIG || err == DSMR_ERR_TOO_LARGE ||
         err == DSMR_ERR_IO);
    size_t text_len = len < sizeof text - 1 ? len : sizeof text - 1;
    memcpy(text, bytes, text_len);
    text[text_len] = '\0';
    if (err == DSMR_OK && len < sizeof text && strchr(text, '\\') == NULL) { /* no escapes */
        dsmr_hex_encode(hex, key.bytes, sizeof key.bytes);
        must(strcasestr(text, hex) != NULL);
    }
    if (dsmr_cli_common_node(&node, text)) {
        must(node.http_port > 0 && node.host[0] != '\0' && node.pid >= 0);
        must(strstr(text, node.host) != NULL && strlen(node.host) < sizeof node.host);
    }
}

static void as_files(const uint8_t *bytes, size_t len)
{
    char path[64], reason[DSMR_TLS_IDENTITY_REASON_BYTES] = "";
    char key_reason[DSMR_KEY_FILE_REASON_BYTES] = "";
    uint8_t secret[DSMR_KEY_FILE_SECRET_BYTES];
    struct dsmr_tls_identity *identity = NULL;
    int fd = memfd_create("key", MFD_CLOEXEC);
    must(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (dsmr_tls_identity_open(&identity, reason, path, path) == DSMR_OK) {
        dsmr_tls_identity_free(identity);
    } else {
        must(strstr(reason, path) != NULL && strchr(reason, '\n') == NULL);
    }
    enum dsmr_err err = dsmr_key_file_read(secret, key_reason, path);
    bool is_key = len == 64 || (len == 65 && bytes[64] == '\n');
    for (size_t i = 0; i < 64 && is_key; i++) {
        is_key = strchr("0123456789abcdefABCDEF", bytes[i]) != NULL && bytes[i] != 0;
    }
    must((err == DSMR_OK) == is_key);
    must(err == DSMR_OK || (strstr(key_reason, path) != NULL && strchr(key_reason, '\n') == NULL));
    as_account(path, bytes, len);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    as_certificate(bytes, len);
    as_files(bytes, len);
    return 0;
}
