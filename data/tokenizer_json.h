/* tokenizer_json.h: a TokenizerSpec from Hugging Face's tokenizer.json and tokenizer_config.json. */
#ifndef LORAC_DATA_TOKENIZER_JSON_H
#define LORAC_DATA_TOKENIZER_JSON_H

#include "data/tokenizer.h"

enum { TOKENIZER_JSON_BYTES_MAX = 1 << 28 };

/* Reads tokenizer.json (model type BPE) and, where config_path is not NULL, tokenizer_config.json, which names BOS and EOS,
 * holds the chat template, and for the classes whose post-processor transformers rebuilds (Llama, Gemma) says whether BOS
 * is added. Everything lives in the arena. ERR_FORMAT names the file and the key; a stage that is not supported is
 * refused by its name. */
Status tokenizer_spec_from_json(Arena *a, const char *tokenizer_json_path, const char *config_path, TokenizerSpec *spec,
                                Err *e);

#endif
