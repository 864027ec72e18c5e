/* config_yaml.h - the text of config.yaml: a flat mapping of names to scalars.
 *
 * Why:     what is YAML apart from what the options mean (node_config.h).
 * Limits:  DSMR_CONFIG_YAML_ENTRIES_MAX entries; no name twice.
 * Threads: one owner. */
#ifndef DSMR_APP_CONFIG_YAML_H
#define DSMR_APP_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>

#define DSMR_CONFIG_YAML_ENTRIES_MAX 64u

struct dsmr_config_yaml { /* all zero before parse */
    struct dsmr_config_yaml_entry {
        char *name, *value;
        unsigned line;
    } entries[DSMR_CONFIG_YAML_ENTRIES_MAX];
    size_t count;
    char problem[256];
    unsigned problem_line;
};

/* False with problem and its line. To be closed in any case. */
bool dsmr_config_yaml_parse(struct dsmr_config_yaml *yaml, const char *text, size_t len);
void dsmr_config_yaml_close(struct dsmr_config_yaml *yaml);
/* As dsmr_cli_merge_file wants it; ctx: struct dsmr_config_yaml. */
const char *dsmr_config_yaml_lookup(void *ctx, const char *name, unsigned *line);

#endif
