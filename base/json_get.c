/* json_get.c: reading a JSON tree, with messages that name the file and the key. See json.h. */
#include "base/json.h"

#include <string.h>

const Json *json_get(const Json *obj, const char *key) {
    if (obj == NULL || obj->type != JSON_OBJECT) return NULL;
    size_t n = strlen(key);
    for (uint32_t i = 0; i < obj->n; i++) {
        const JsonString *k = &obj->list.keys[i];
        if (k->len == n && memcmp(k->s, key, n) == 0) return &obj->list.items[i];
    }
    return NULL;
}

static Status want(const Json *obj, const char *what, const char *key, const char *expected, const Json **out, Err *e) {
    const Json *v = json_get(obj, key);
    if (v == NULL) FAIL(e, ERR_FORMAT, "%s: the key '%s' is missing (%s is expected)", what, key, expected);
    *out = v;
    return OK;
}

static Status wrong_type(const Json *v, const char *what, const char *key, const char *expected, Err *e) {
    FAIL(e, ERR_FORMAT, "%s: '%s' is %s, expected %s", what, key, json_type_name(v->type), expected);
}

Status json_want_int(const Json *obj, const char *what, const char *key, int64_t min, int64_t max, int64_t *out,
                     Err *e) {
    const Json *v;
    TRY(want(obj, what, key, "an integer", &v, e));
    if (v->type != JSON_INT) return wrong_type(v, what, key, "an integer", e);
    if (v->integer < min || v->integer > max)
        FAIL(e, ERR_FORMAT, "%s: '%s' is %lld, expected %lld to %lld", what, key, (long long)v->integer, (long long)min,
             (long long)max);
    *out = v->integer;
    return OK;
}

Status json_want_real(const Json *obj, const char *what, const char *key, double *out, Err *e) {
    const Json *v;
    TRY(want(obj, what, key, "a number", &v, e));
    if (!json_number(v, out)) return wrong_type(v, what, key, "a number", e);
    return OK;
}

Status json_want_string(const Json *obj, const char *what, const char *key, JsonString *out, Err *e) {
    const Json *v;
    TRY(want(obj, what, key, "a string", &v, e));
    if (v->type != JSON_STRING) return wrong_type(v, what, key, "a string", e);
    *out = v->string;
    return OK;
}

Status json_want_bool(const Json *obj, const char *what, const char *key, bool *out, Err *e) {
    const Json *v;
    TRY(want(obj, what, key, "true or false", &v, e));
    if (v->type != JSON_BOOL) return wrong_type(v, what, key, "true or false", e);
    *out = v->boolean;
    return OK;
}

bool json_number(const Json *v, double *out) {
    if (v == NULL || (v->type != JSON_INT && v->type != JSON_REAL)) return false;
    *out = v->type == JSON_INT ? (double)v->integer : v->real;
    return true;
}

bool json_is_string(const Json *v, const char *s) {
    return v != NULL && v->type == JSON_STRING && v->string.len == strlen(s) &&
           memcmp(v->string.s, s, v->string.len) == 0;
}
