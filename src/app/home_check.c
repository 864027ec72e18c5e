#include "app/home_check.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "app/exit_codes.h"
#include "base/bytes.h"

int dsmr_home_check_folder(const struct dsmr_cli_values *values, const struct dsmr_home *home)
{
    if (access(home->path, F_OK) == 0)
        return -1;
    return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s is no home: %s; make one with: dsmrd init",
                         home->path, strerror(errno));
}

static bool is_validator(const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id)
{
    for (uint32_t i = 0; i < genesis->schedule_count; i++)
        if (dsmr_validator_set_find(genesis->schedule[i].set, node_id) >= 0)
            return true;
    return false;
}

static bool is_same(const struct dsmr_node_settings_address *a,
                    const struct dsmr_node_settings_address *b)
{
    return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

int dsmr_home_check_settings(const struct dsmr_cli_values *values,
                             const struct dsmr_node_settings *settings,
                             const struct dsmr_genesis *genesis)
{
    char id[2 * sizeof(struct dsmr_node_id) + 1];
    const struct {
        const char *name;
        const struct dsmr_node_settings_address *address;
    } doors[] = {{"p2p-address", &settings->p2p},
                 {"http-address", &settings->http},
                 {"submit-address", &settings->submit}};
    for (uint32_t i = 0; i < settings->peers_count; i++) {
        if (is_validator(genesis, &settings->peers[i].node_id))
            continue;
        dsmr_hex_encode(id, settings->peers[i].node_id.bytes, sizeof(struct dsmr_node_id));
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                             "peers: %s is no validator of genesis: nobody there is dialed", id);
    }
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same(doors[i].address, doors[k].address))
                return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s and %s are both %s:%u",
                                     doors[k].name, doors[i].name, doors[i].address->host,
                                     doors[i].address->port);
    return -1;
}

int dsmr_home_check_keys(const struct dsmr_cli_values *values, const struct dsmr_home *home,
                         const struct dsmr_genesis *genesis, const struct dsmr_node_id *node_id,
                         const struct dsmr_bls_public_key *bls_key, bool *is_named)
{
    struct dsmr_bls_public_key_raw raw;
    struct dsmr_bls_point point;
    *is_named = false;
    if (dsmr_bls_key_decode(&raw, &point, bls_key) != DSMR_OK)
        return dsmr_cli_fail(values, DSMR_EXIT_CONFIG, "%s/keys/bls.key: not a valid key",
                             home->path);
    for (uint32_t i = 0; i < genesis->schedule_count; i++) {
        const struct dsmr_validator_set *set = genesis->schedule[i].set;
        int place = dsmr_validator_set_find(set, node_id);
        if (place < 0)
            continue;
        *is_named = true;
        if (memcmp(&set->validators[place].public_key, &raw, sizeof raw) != 0)
            return dsmr_cli_fail(values, DSMR_EXIT_CONFIG,
                                 "%s/keys: genesis names another BLS key for the node of tls.key: "
                                 "the two files are not of one node",
                                 home->path);
    }
    return -1;
}
