/* data_commands.h: the parts of lorac data that have a file of their own. */
#ifndef LORAC_TRAIN_DATA_COMMANDS_H
#define LORAC_TRAIN_DATA_COMMANDS_H

#include "train/trainer.h"

/* `lorac data show`: the rows of an open trainer's data as read. --json: an object each, --ids: a line for each token. */
Status data_show(Trainer *t, const Args *args, Err *e);
/* What the rows of an open trainer's data are like: ledger, lengths, duplicates, packing. With --json one object. */
Status data_stats(Trainer *t, const Args *args, Err *e);
/* `lorac data render`, with the arguments of `lorac data`. */
Status data_render(Ctx *ctx, int argc, char **argv, Err *e);
/* ,"ids":[...],"trained":[...]: what show and render print of n tokens. */
Status data_put_tokens(Buf *b, const int32_t *ids, const uint8_t *trained, size_t n, Err *e);
/* Opens the config's data on t and prints every bad row, at most 100; ERR_CHECK when there is any. */
Status data_check(Ctx *ctx, Config *config, Trainer *t, Err *e);

#endif
