/* fuzz_config.c - any text as config.yaml: settings that hold, or one sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_yaml.h"
#include "app/exit_codes.h"
#include "app/node_config.h"
#include "app/node_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static int read_all(const struct dsmr_config_yaml *yaml)
{
    static struct dsmr_node_settings settings;
    struct dsmr_cli_verb verb = {.name = "start", .options = dsmr_node_config_options};
    struct dsmr_cli_program program = {.name = "fuzz", .verbs = &verb, .verbs_count = 1};
    struct dsmr_cli_values values;
    char name[] = "fuzz", word[] = "start";
    char *argv[] = {name, word, NULL};
    verb.options_count = dsmr_node_config_options_count;
    must(dsmr_cli_parse(&values, &program, 2, argv) == -1);
    int code = dsmr_cli_merge_file(&values, "config.yaml", dsmr_config_yaml_lookup,
                                   (struct dsmr_config_yaml *)(uintptr_t)yaml);
    if (code == -1) {
        code = dsmr_node_settings_read(&settings, &values);
    }
    if (code == -1) {
        must(settings.p2p.host[0] != '\0' && settings.http.host[0] != '\0');
        must(settings.peers_count <= DSMR_NODE_SETTINGS_PEERS_MAX);
        must(dsmr_cli_number(&values, "workers") >= 1 && dsmr_cli_number(&values, "workers") <= 64);
    }
    return code;
}

/* What the programs print in the meantime, to be looked at. */
static char *listen(int (*run)(const struct dsmr_config_yaml *yaml),
                    const struct dsmr_config_yaml *yaml, int *code)
{
    FILE *before = stderr;
    char *said = NULL;
    size_t len = 0;
    stderr = open_memstream(&said, &len);
    must(stderr != NULL);
    *code = run(yaml);
    must(fclose(stderr) == 0);
    stderr = before;
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct dsmr_config_yaml yaml = {.count = 0};
    if (!dsmr_config_yaml_parse(&yaml, (const char *)bytes, len)) {
        must(yaml.problem[0] != '\0');
        dsmr_config_yaml_close(&yaml);
        return 0;
    }
    int code = 0;
    char *said = listen(read_all, &yaml, &code);
    size_t line = strcspn(said, "\n"); /* what is said is one line */
    must(code == -1 ? said[0] == '\0' : code == DSMR_EXIT_CONFIG && strcmp(said + line, "\n") == 0);
    free(said);
    dsmr_config_yaml_close(&yaml);
    return 0;
}
