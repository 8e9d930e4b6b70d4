/* yaml.h: the part of YAML a config needs, as a tree with places. libyaml is known only to yaml.c.
 *
 * One document whose root is a map; maps, lists and scalars, at most YAML_DEPTH_MAX deep, at most YAML_BYTES_MAX long.
 * Refused, each with FILE:LINE:COL: anchors and aliases, tags, directives, a second document, duplicate keys, keys that are
 * no scalars, invalid UTF-8, NUL and other control characters. Plain scalars have the types of YAML 1.2's core schema: 1e-4
 * is a number, no is a string; quoted and block scalars are strings. */
#ifndef LORAC_CONFIGS_YAML_H
#define LORAC_CONFIGS_YAML_H

#include "base/arena.h"

enum { YAML_DEPTH_MAX = 8, YAML_BYTES_MAX = 1 << 20 };

typedef enum YamlType { YAML_NULL, YAML_BOOL, YAML_INT, YAML_REAL, YAML_STRING, YAML_LIST, YAML_MAP } YamlType;

typedef struct Yaml Yaml;
struct Yaml {
    YamlType type;
    int line, column; /* from 1; 0: the command line */
    char *text;       /* scalars: as written, NUL-terminated, no NUL inside */
    bool quoted;      /* a string because of quotes or block style */
    int n;            /* list: items; map: members, in source order */
    Yaml *items;
    Yaml *keys; /* map: scalars */
    bool boolean;
    int64_t integer;
    double real; /* of YAML_REAL and YAML_INT */
};

/* Parses text; name begins the messages. An empty document gives an empty map. */
Status yaml_parse(Arena *a, const char *name, const char *text, size_t len, Yaml *out, Err *e);
/* Parses one value (for example a flow list from the command line): places are 0, messages begin with name alone. */
Status yaml_parse_value(Arena *a, const char *name, const char *text, Yaml *out, Err *e);
/* A plain scalar by the core schema; text is kept, not copied. An integer beyond 64 bits is YAML_REAL. */
void yaml_scalar(char *text, Yaml *out);
/* "a whole number", "text", "a list" ... for messages. */
const char *yaml_type_name(YamlType t);

#endif
