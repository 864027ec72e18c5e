#include "app/config_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static bool fail(struct dsmr_config_yaml *yaml, const char *problem)
{
    snprintf(yaml->problem, sizeof yaml->problem, "%.200s", problem);
    return false;
}

static bool add_entry(struct dsmr_config_yaml *yaml, const yaml_node_t *key,
                      const yaml_node_t *value)
{
    yaml->problem_line = (unsigned)key->start_mark.line + 1;
    if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE)
        return fail(yaml, "every line must be NAME: VALUE");
    const char *name = (const char *)key->data.scalar.value;
    for (size_t i = 0; i < yaml->count; i++) {
        if (strcmp(yaml->entries[i].name, name) == 0) {
            snprintf(yaml->problem, sizeof yaml->problem, "\"%.80s\" stands twice", name);
            return false;
        }
    }
    if (yaml->count == DSMR_CONFIG_YAML_ENTRIES_MAX) {
        snprintf(yaml->problem, sizeof yaml->problem, "more than %u settings",
                 DSMR_CONFIG_YAML_ENTRIES_MAX);
        return false;
    }
    struct dsmr_config_yaml_entry *entry = &yaml->entries[yaml->count++];
    entry->name = strdup(name);
    entry->value = strdup((const char *)value->data.scalar.value);
    entry->line = yaml->problem_line;
    return (entry->name != NULL && entry->value != NULL) || fail(yaml, "out of memory");
}

static bool add_all(struct dsmr_config_yaml *yaml, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    yaml->problem_line = 1;
    if (root == NULL)
        return true; /* nothing but comments */
    if (root->type != YAML_MAPPING_NODE)
        return fail(yaml, "every line must be NAME: VALUE");
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++)
        if (!add_entry(yaml, yaml_document_get_node(document, pair->key),
                       yaml_document_get_node(document, pair->value)))
            return false;
    return true;
}

bool dsmr_config_yaml_parse(struct dsmr_config_yaml *yaml, const char *text, size_t len)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool is_good = false;
    if (!yaml_parser_initialize(&parser))
        return fail(yaml, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (yaml_parser_load(&parser, &document)) {
        is_good = add_all(yaml, &document);
        yaml_document_delete(&document);
    } else {
        yaml->problem_line = (unsigned)parser.problem_mark.line + 1;
        (void)fail(yaml, parser.problem != NULL ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    return is_good;
}

void dsmr_config_yaml_close(struct dsmr_config_yaml *yaml)
{
    for (size_t i = 0; i < yaml->count; i++) {
        free(yaml->entries[i].name);
        free(yaml->entries[i].value);
    }
    memset(yaml, 0, sizeof *yaml);
}

const char *dsmr_config_yaml_lookup(void *ctx, const char *name, unsigned *line)
{
    const struct dsmr_config_yaml *yaml = ctx;
    for (size_t i = 0; i < yaml->count; i++) {
        if (strcmp(yaml->entries[i].name, name) == 0) {
            *line = yaml->entries[i].line;
            return yaml->entries[i].value;
        }
    }
    return NULL;
}
