/* tokenizer_load.h: the tokenizer of a model: a GGUF file, a model folder, or a tokenizer.json. */
#ifndef LORAC_TRAIN_TOKENIZER_LOAD_H
#define LORAC_TRAIN_TOKENIZER_LOAD_H

#include "base/hash.h"
#include "data/tokenizer.h"

/* Opens the tokenizer of model_path in the arena. A folder holds tokenizer.json and optionally tokenizer_config.json,
 * chat_template.jinja and additional_chat_templates/tool_use.jinja (which win over the config's) and generation_config.json (further end tokens); a tokenizer.json given by
 * its path takes those beside it. ERR_FORMAT / ERR_IO name the file and the key. */
Status tokenizer_load(Arena *a, const char *model_path, Tokenizer **out, Err *e);

/* XXH3-128 over what tokenizer_load reads of model_path: the metadata of a GGUF file, or the files of a folder. */
Status tokenizer_source_hash(Arena *scratch, const char *model_path, Hash128 *out, Err *e);

/* XXH3-128 over the names and bytes of those files of a model folder that are there. */
Status tokenizer_files_hash(Arena *scratch, const char *folder, Hash128 *out, Err *e);

#endif
