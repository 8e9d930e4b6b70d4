/* ops.c: the table of ops, expanded from ops.def. */
#include "autograd/graph_internal.h"

const OpDef OPS[OP_COUNT] = {
#define OP(id, opname, saved, opflags)                                                                                 \
    [OP_##id] = {.name = #opname,                                                                                      \
                 .saves = (saved),                                                                                     \
                 .flags = (opflags),                                                                                   \
                 .infer = opname##_infer,                                                                              \
                 .forward = opname##_op_forward,                                                                       \
                 .backward = opname##_op_backward,                                                                     \
                 .workspace = opname##_op_workspace},
#include "autograd/ops.def"
#undef OP
};
