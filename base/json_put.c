/* json_put.c: writing JSON. See json.h. */
#include "base/json.h"

#include "base/utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status put_escaped(Buf *b, unsigned char c, Err *e) {
    static const char SHORT[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\') return buf_printf(b, e, "\\%c", c);
    if (c < sizeof SHORT && SHORT[c] != 0) return buf_printf(b, e, "\\%c", SHORT[c]);
    return buf_printf(b, e, "\\u%04x", c);
}

Status json_put_string(Buf *b, const char *s, size_t len, Err *e) {
    size_t plain = 0; /* start of the run that needs no change */
    TRY(buf_putc(b, '"', e));
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        if (n > 0 && cp >= 0x20 && cp != '"' && cp != '\\') {
            i += (size_t)n;
            continue;
        }
        TRY(buf_add(b, s + plain, i - plain, e));
        if (n == 0)
            TRY(buf_puts(b, "\xEF\xBF\xBD", e));
        else
            TRY(put_escaped(b, (unsigned char)s[i], e));
        plain = ++i;
    }
    TRY(buf_add(b, s + plain, len - plain, e));
    return buf_putc(b, '"', e);
}

Status json_put_real(Buf *b, double v, Err *e) {
    char text[40];
    if (!isfinite(v)) return buf_puts(b, "null", e);
    /* A decimal of at most 15 digits comes back from %.15g as it is, so the shortest needs no search from 1. Below the
     * normal range doubles hold fewer digits, and it does. */
    for (int digits = fabs(v) >= DBL_MIN || v == 0.0 ? 15 : 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    /* 1e+06 and 3 are JSON numbers; a real keeps a sign of being one */
    if (strpbrk(text, ".e") == NULL) strcat(text, ".0");
    return buf_puts(b, text, e);
}

Status json_put_value(Buf *b, const Json *v, Err *e) {
    switch (v->type) {
    case JSON_NULL:
        return buf_puts(b, "null", e);
    case JSON_BOOL:
        return buf_puts(b, v->boolean ? "true" : "false", e);
    case JSON_INT:
        return buf_printf(b, e, "%lld", (long long)v->integer);
    case JSON_REAL:
        return v->digits != NULL ? buf_puts(b, v->digits, e) : json_put_real(b, v->real, e);
    case JSON_STRING:
        return json_put_string(b, v->string.s, v->string.len, e);
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    bool object = v->type == JSON_OBJECT;
    TRY(buf_putc(b, object ? '{' : '[', e));
    for (uint32_t i = 0; i < v->n; i++) {
        if (i > 0) TRY(buf_putc(b, ',', e));
        if (object) {
            TRY(json_put_string(b, v->list.keys[i].s, v->list.keys[i].len, e));
            TRY(buf_putc(b, ':', e));
        }
        TRY(json_put_value(b, &v->list.items[i], e));
    }
    return buf_putc(b, object ? '}' : ']', e);
}

Status json_put_int_member(Buf *b, const char *key, int64_t v, Err *e) {
    return buf_printf(b, e, ",\"%s\":%lld", key, (long long)v);
}

Status json_put_real_member(Buf *b, const char *key, double v, Err *e) {
    TRY(buf_printf(b, e, ",\"%s\":", key));
    return json_put_real(b, v, e);
}
