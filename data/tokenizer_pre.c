/* tokenizer_pre.c: the stages a GGUF file only names: tokenizer.ggml.pre for byte-level vocabularies, and the fixed rules
 * of SentencePiece ones. One row per rule; several names may share one.
 *
 * The patterns are those of the models' own tokenizer.json where Hugging Face's and llama.cpp's agree on what they mean
 * (llama.cpp rewrites some for its engine). Digits stands for \p{N} where the models use Hugging Face's Digits stage. */
#include "data/tokenizer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT(literal)                                                                                                  \
    { literal, sizeof(literal) - 1 }
#define SPLIT(regex)                                                                                                   \
    { .kind = PIECES_SPLIT, .pattern = TEXT(regex) }
#define DIGITS                                                                                                         \
    { .kind = PIECES_DIGITS }

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN2 CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define WORDS(suffix)                                                                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" suffix
#define TEKKEN WORDS("") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define GPT4O WORDS(CONTRACTIONS "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"               \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define DEEPSEEK_CJK "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
/* Letters of the scripts with case, as DeepSeek's first models list them. */
#define CASED                                                                                                          \
    "\\s?[A-Za-z\\u00B5\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u01BA\\u01BC-\\u01BF\\u01C4-\\u0293\\u0295-\\u02AF"     \
    "\\u0370-\\u0373\\u0376\\u0377\\u037B-\\u037D\\u037F\\u0386\\u0388-\\u038A\\u038C\\u038E-\\u03A1\\u03A3-\\u03F5"   \
    "\\u03F7-\\u0481\\u048A-\\u052F\\u0531-\\u0556\\u10A0-\\u10C5\\u13A0-\\u13F5\\u13F8-\\u13FD\\u1C90-\\u1CBA"        \
    "\\u1CBD-\\u1CBF\\u1D00-\\u1D2B\\u1D6B-\\u1D77\\u1D79-\\u1D9A\\u1E00-\\u1F15\\u1F18-\\u1F1D\\u1F20-\\u1F45"        \
    "\\u1F48-\\u1F4D\\u1F50-\\u1F57\\u1F59\\u1F5B\\u1F5D\\u1F5F-\\u1F7D\\u1F80-\\u1FB4\\u1FB6-\\u1FBC\\u1FBE"          \
    "\\u1FC2-\\u1FC4\\u1FC6-\\u1FCC\\u1FD0-\\u1FD3\\u1FD6-\\u1FDB\\u1FE0-\\u1FEC\\u1FF2-\\u1FF4\\u1FF6-\\u1FFC"        \
    "\\u2102\\u2107\\u210A-\\u2113\\u2115\\u2119-\\u211D\\u2124\\u2126\\u2128\\u212A-\\u212D\\u212F-\\u2134\\u2139"    \
    "\\u213C-\\u213F\\u2145-\\u2149\\u214E\\u2183\\u2184\\u2C00-\\u2C7B\\u2C7E-\\u2CE4\\u2CEB-\\u2CEE\\u2CF2\\u2CF3"   \
    "\\uA640-\\uA66D\\uA680-\\uA69B\\uA722-\\uA76F\\uA771-\\uA787\\uA78B-\\uA78E\\uAB70-\\uABBF\\uFB00-\\uFB06"        \
    "\\uFB13-\\uFB17\\uFF21-\\uFF3A\\uFF41-\\uFF5A\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}"     \
    "\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+"
#define CASED_PUNCTUATION "\\s?[!-/:-~\\uFF01-\\uFF0F\\uFF1A-\\uFF5E\\u2018-\\u201F\\u3000-\\u3002]+"
/* \s+$ written so that a long run of spaces is looked at once. */
#define SPACES_AT_END "(?<!\\s)\\s+$"
#define BLOOM " ?[^(\\s|.,!?\\u2026\\u3002\\uFF0C\\u3001\\u0964\\u06D4\\u060C)]+"
#define BAILING                                                                                                        \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|"        \
    "\\s+(?!\\S)|\\s+"

enum { PIECES_MAX = 6 };

typedef struct PreRow {
    const char *names; /* separated by spaces */
    PiecesStep pieces[PIECES_MAX];
    int n_pieces;
    bool nfc, ignore_merges, add_bos;
} PreRow;

static const PreRow PRE[] = {
    {.names = "llama-bpe llama3 llama-v3 falcon3 pixtral",
     .pieces = {SPLIT(LLAMA3)},
     1,
     .ignore_merges = true,
     .add_bos = true},
    {.names = "smaug-bpe dbrx glm4 chatglm-bpe", .pieces = {SPLIT(LLAMA3)}, 1},
    {.names = "qwen2 deepseek-r1-qwen megrez", .pieces = {SPLIT(QWEN2)}, 1, .nfc = true},
    {.names = "stablelm2", .pieces = {SPLIT(QWEN2)}, 1},
    {.names = "deepseek-v3",
     .pieces = {SPLIT("\\p{N}{1,3}"), SPLIT("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), SPLIT(DEEPSEEK3)},
     3},
    {.names = "deepseek-llm",
     .pieces = {SPLIT("[\\r\\n]"), SPLIT(CASED), SPLIT(CASED_PUNCTUATION), SPLIT(SPACES_AT_END), SPLIT(DEEPSEEK_CJK),
                SPLIT("\\p{N}+")},
     6},
    {.names = "deepseek-coder",
     .pieces = {SPLIT("[\\r\\n]"), SPLIT("\\s?\\p{L}+"), SPLIT("\\s?\\p{P}+"), SPLIT(DEEPSEEK_CJK), DIGITS},
     5},
    {.names = "tekken", .pieces = {SPLIT(TEKKEN)}, 1, .ignore_merges = true, .add_bos = true},
    {.names = "gpt-4o llama4", .pieces = {SPLIT(GPT4O)}, 1},
    {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b", .pieces = {DIGITS, SPLIT(GPT2)}, 2},
    {.names = "gpt-2 phi-2 gigachat jais trillion mpt olmo", .pieces = {SPLIT(GPT2)}, 1},
    {.names = "falcon", .pieces = {SPLIT("[\\p{P}\\$\\+<=>\\^~\\|`]+"), SPLIT(GPT2), SPLIT("[0-9][0-9][0-9]")}, 3},
    {.names = "default",
     .pieces = {SPLIT("[\\p{P}\\$\\+<=>\\^~\\|]+"), SPLIT(GPT2), SPLIT("\\p{N}+"), SPLIT("[0-9][0-9][0-9]")},
     4},
    {.names = "bloom poro-chat gpt3-finnish", .pieces = {SPLIT(BLOOM)}, 1},
    {.names = "viking", .pieces = {SPLIT(BLOOM), DIGITS}, 2},
    {.names = "bailingmoe", .pieces = {SPLIT(BAILING)}, 1},
};

static const NormalizeStep NFC[] = {{.kind = NORMALIZE_NFC}};
#define LOW_LINE "\xE2\x96\x81" /* U+2581, SentencePiece's space */
static const NormalizeStep SPM_PREFIX[] = {{.kind = NORMALIZE_PREPEND, .to = TEXT(LOW_LINE)},
                                           {.kind = NORMALIZE_REPLACE, .from = TEXT(" "), .to = TEXT(LOW_LINE)}};

/* Tokens that end a turn or a text, by their text; the families' end tokens that files do not always name. */
static const char *const ENDS[] = {"<|eot_id|>",
                                   "<|im_end|>",
                                   "<|end|>",
                                   "<end_of_turn>",
                                   "<|endoftext|>",
                                   "<|eom_id|>",
                                   "<EOT>",
                                   "<|EOT|>",
                                   "<|eot|>",
                                   "<|eom|>",
                                   "<|end_of_text|>",
                                   "<\xEF\xBD\x9C"
                                   "end" LOW_LINE "of" LOW_LINE "sentence\xEF\xBD\x9C>"};

static bool has_name(const char *names, const char *name) {
    size_t n = strchr(name, ' ') == NULL ? strlen(name) : 0;
    for (const char *s = names; n > 0 && (s = strstr(s, name)) != NULL; s += n)
        if ((s == names || s[-1] == ' ') && (s[n] == '\0' || s[n] == ' ')) return true;
    return false;
}

Status tokenizer_spec_pre(TokenizerSpec *spec, const char *pre, Err *e) {
    const PreRow *row = NULL;
    char known[1024];
    size_t k = 0;
    for (size_t i = 0; i < sizeof PRE / sizeof PRE[0]; i++) {
        if (has_name(PRE[i].names, pre != NULL ? pre : "default")) row = &PRE[i];
        k += (size_t)snprintf(known + k, sizeof known - k, "%s%s", i > 0 ? " " : "", PRE[i].names);
        if (k >= sizeof known) k = sizeof known - 1;
    }
    if (row == NULL)
        FAIL(e, ERR_FORMAT, "the pre-tokenizer \"%.100s\" (tokenizer.ggml.pre) is not known; known are: %s", pre,
             known);
    spec->pieces = row->pieces;
    spec->n_pieces = (size_t)row->n_pieces;
    spec->normalize = row->nfc ? NFC : NULL;
    spec->n_normalize = row->nfc ? 1 : 0;
    spec->ignore_merges = row->ignore_merges;
    spec->add_bos = row->add_bos;
    spec->byte_level = true;
    spec->decode = DECODE_BYTES;
    return OK;
}

void tokenizer_spec_spm(TokenizerSpec *spec, bool add_space_prefix) {
    static const TokenText SPACE = TEXT(" "), MARK = TEXT(LOW_LINE);
    spec->normalize = add_space_prefix ? SPM_PREFIX : SPM_PREFIX + 1;
    spec->n_normalize = add_space_prefix ? 2 : 1;
    spec->by_score = true;
    spec->byte_fallback = true;
    spec->fuse_unk = true;
    spec->decode = DECODE_PIECES;
    spec->replace_from = MARK;
    spec->replace_to = SPACE;
    spec->decode_byte_fallback = true;
    spec->strip_start = add_space_prefix ? 1 : 0;
}

static bool same_text(TokenText t, const char *s) { return t.len == strlen(s) && memcmp(t.s, s, t.len) == 0; }

Status tokenizer_spec_kind(TokenText model, const char *file, bool *by_score, Err *e) {
    *by_score = same_text(model, "llama");
    if (*by_score || same_text(model, "gpt2")) return OK;
    FAIL(e, ERR_FORMAT, "%s: tokenizer.ggml.model is \"%.*s\"; only \"gpt2\" and \"llama\" are implemented", file,
         (int)(model.len < 60 ? model.len : 60), model.len == 0 ? "" : model.s);
}

bool token_ends_generation(TokenText text) {
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++)
        if (strlen(ENDS[i]) == text.len && memcmp(ENDS[i], text.s, text.len) == 0) return true;
    return false;
}

/* Model names (lower case, part of the name) whose added tokens take the whitespace behind them, but for some. */
static const struct {
    const char *name;
    const char *except; /* separated by spaces */
} TAKE_SPACE[] = {{"phi-3", "<unk> <s> <|endoftext|>"}, {"phi3", "<unk> <s> <|endoftext|>"}};

bool token_takes_space(TokenText model_name, TokenText token) {
    char name[128] = "", text[64] = "";
    for (size_t i = 0; i < model_name.len && i + 1 < sizeof name; i++)
        name[i] = (char)tolower((unsigned char)model_name.s[i]);
    if (token.len < sizeof text) memcpy(text, token.s, token.len);
    for (size_t i = 0; i < sizeof TAKE_SPACE / sizeof TAKE_SPACE[0]; i++)
        if (strstr(name, TAKE_SPACE[i].name) != NULL) return !has_name(TAKE_SPACE[i].except, text);
    return false;
}
