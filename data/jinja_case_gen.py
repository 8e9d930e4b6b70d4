"""Writes data/jinja_case_table.h: characters whose upper or title case Python spells with several characters.

All other characters have the simple mapping of utf8proc; a test compares the whole (tests/data/t_jinja.c). Unicode never
changes these mappings. Run it anywhere: python3 jinja_case_gen.py > jinja_case_table.h"""


def row(cp):
    c = chr(cp)
    return "    {0x%04X, %s, %s}," % (cp, bytes_of(c.upper()), bytes_of(c.title()))


def bytes_of(text):
    return '"' + "".join("\\x%02x" % b for b in text.encode()) + '"'


print("/* jinja_case_table.h: made by jinja_case_gen.py: code point, upper case, title case; ascending. */")
print("#ifndef LORAC_DATA_JINJA_CASE_TABLE_H\n#define LORAC_DATA_JINJA_CASE_TABLE_H\n\n#include <stdint.h>\n")
print("static const struct {\n    uint32_t cp;\n    const char *upper, *title;\n} SPECIAL_CASES[] = {")
for cp in range(0x110000):
    if not 0xD800 <= cp < 0xE000 and (len(chr(cp).upper()) > 1 or len(chr(cp).title()) > 1):
        print(row(cp))
print("};\n\n#endif")
