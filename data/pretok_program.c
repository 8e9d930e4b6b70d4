/* pretok_program.c: a parsed regex as instructions of pretok_dfa.h, by way of a tree.
 *
 * The parser of pretok_regex.c has checked the syntax; here only that is judged which has no table. */
#include "data/pretok_dfa.h"

#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 1024, NONE = -1 };

typedef enum NodeKind { NODE_SET, NODE_AHEAD, NODE_ROW, NODE_CHOICE, NODE_REPEAT } NodeKind;

typedef struct Node {
    NodeKind kind;
    int set;          /* SET, AHEAD */
    bool in, at_end;  /* AHEAD: as in DfaInst */
    int least, most;  /* REPEAT; most NONE: no limit */
    bool lazy;        /* REPEAT */
    int child, after; /* first child of ROW, CHOICE, REPEAT; the next child of the parent */
} Node;

typedef struct Maker {
    const Regex *r;
    size_t at;
    Node nodes[NODES_MAX];
    int n;
    DfaProgram *out;
} Maker;

/* ---- the tree ------------------------------------------------------------------------------------------------------- */

static int new_node(Maker *m, Node node) {
    if (m->n == NODES_MAX) return NONE;
    node.child = node.after = NONE;
    m->nodes[m->n] = node;
    return m->n++;
}

/* Whether the next items are these bytes of syntax; then they are taken. */
static bool take(Maker *m, const char *s) {
    size_t n = strlen(s);
    if (m->r->n - m->at < n) return false;
    for (size_t i = 0; i < n; i++)
        if (m->r->items[m->at + i].set >= 0 || m->r->items[m->at + i].raw != s[i]) return false;
    m->at += n;
    return true;
}

static bool take_set(Maker *m, int *set) {
    if (m->at == m->r->n || m->r->items[m->at].set < 0) return false;
    *set = m->r->items[m->at++].set;
    return true;
}

static int choice(Maker *m);

/* (?=x) or (?!x) of one character; the opening is taken. */
static int ahead(Maker *m, bool in) {
    Node node = {.kind = NODE_AHEAD, .in = in, .at_end = !in};
    return take_set(m, &node.set) && take(m, ")") ? new_node(m, node) : NONE;
}

static int group(Maker *m) {
    int node = choice(m);
    return node != NONE && take(m, ")") ? node : NONE;
}

static int number(Maker *m) {
    int n = 0, digits = 0;
    for (; m->at < m->r->n && m->r->items[m->at].set < 0; m->at++, digits++) {
        char c = m->r->items[m->at].raw;
        if (c < '0' || c > '9') break;
        n = n * 10 + (c - '0');
        if (n > REGEX_REPEAT_MAX) return NONE;
    }
    return digits > 0 ? n : NONE;
}

/* Whether a repeat follows; false in *good: one of a kind that has no table. */
static bool repeat(Maker *m, Node *out, bool *good) {
    *out = (Node){.kind = NODE_REPEAT, .least = 0, .most = NONE};
    if (take(m, "{")) {
        out->least = out->most = number(m);
        if (out->least == NONE) *good = false;
        if (take(m, ",")) out->most = number(m);
        if (!take(m, "}")) *good = false;
    } else if (take(m, "+")) {
        out->least = 1;
    } else if (take(m, "?")) {
        out->most = 1;
    } else if (!take(m, "*")) {
        return false;
    }
    out->lazy = take(m, "?");
    if (take(m, "+")) *good = false;
    return true;
}

static bool may_be_empty(const Maker *m, int at) {
    const Node *node = &m->nodes[at];
    bool any = false, all = true;
    if (node->kind == NODE_SET) return false;
    if (node->kind == NODE_AHEAD) return true;
    if (node->kind == NODE_REPEAT && node->least == 0) return true;
    for (int i = node->child; i != NONE; i = m->nodes[i].after) {
        bool empty = may_be_empty(m, i);
        any = any || empty;
        all = all && empty;
    }
    return node->kind == NODE_CHOICE ? any : all;
}

static int atom(Maker *m) {
    int set = NONE;
    if (take_set(m, &set)) return new_node(m, (Node){.kind = NODE_SET, .set = set});
    if (take(m, "\\z")) return new_node(m, (Node){.kind = NODE_AHEAD, .set = NONE, .in = true, .at_end = true});
    if (take(m, "(?=")) return ahead(m, true);
    if (take(m, "(?!")) return ahead(m, false);
    return take(m, "(?:") ? group(m) : NONE;
}

/* Atoms with their repeats, one behind the other. */
static int row(Maker *m) {
    int mine = new_node(m, (Node){.kind = NODE_ROW}), last = NONE;
    if (mine == NONE) return NONE;
    while (m->at < m->r->n) {
        const RegexItem *item = &m->r->items[m->at];
        if (item->set < 0 && (item->raw == '|' || item->raw == ')')) break;
        bool good = true;
        Node times;
        int node = atom(m);
        if (node == NONE) return NONE;
        if (repeat(m, &times, &good)) {
            int outer = new_node(m, times);
            if (!good || outer == NONE || may_be_empty(m, node)) return NONE;
            m->nodes[outer].child = node;
            node = outer;
        }
        *(last == NONE ? &m->nodes[mine].child : &m->nodes[last].after) = node;
        last = node;
    }
    return mine;
}

static int choice(Maker *m) {
    int mine = new_node(m, (Node){.kind = NODE_CHOICE}), last = NONE;
    if (mine == NONE) return NONE;
    do {
        int node = row(m);
        if (node == NONE) return NONE;
        *(last == NONE ? &m->nodes[mine].child : &m->nodes[last].after) = node;
        last = node;
    } while (take(m, "|"));
    return mine;
}

/* ---- instructions --------------------------------------------------------------------------------------------------- */

/* The number of the new instruction, or NONE when there are too many. */
static int emit(Maker *m, DfaOp op, int x, int y) {
    DfaProgram *p = m->out;
    if (p->n == DFA_PROGRAM_MAX) return NONE;
    p->inst[p->n] = (DfaInst){.op = op, .x = x, .y = y};
    return p->n++;
}

/* A SPLIT with one way to what is emitted next and the other open; returns where the open one is to be written. */
static int *emit_option(Maker *m, bool lazy) {
    int at = emit(m, DFA_SPLIT, m->out->n + 1, m->out->n + 1);
    if (at == NONE) return NULL;
    return lazy ? &m->out->inst[at].x : &m->out->inst[at].y;
}

static bool emit_node(Maker *m, int at);

static bool emit_repeat(Maker *m, const Node *node) {
    int *open[REGEX_REPEAT_MAX], n_open = 0;
    int fixed = node->most == NONE && node->least > 0 ? node->least - 1 : node->least;
    for (int i = 0; i < fixed; i++)
        if (!emit_node(m, node->child)) return false;
    if (node->most == NONE && node->least > 0) { /* x+ */
        int start = m->out->n;
        if (!emit_node(m, node->child)) return false;
        int split = emit(m, DFA_SPLIT, start, m->out->n + 1);
        if (split != NONE && node->lazy) m->out->inst[split] = (DfaInst){DFA_SPLIT, split + 1, start, false};
        return split != NONE;
    }
    if (node->most == NONE) { /* x* */
        int start = m->out->n, *out = emit_option(m, node->lazy);
        if (out == NULL || !emit_node(m, node->child) || emit(m, DFA_JUMP, start, 0) == NONE) return false;
        *out = m->out->n;
        return true;
    }
    for (int i = node->least; i < node->most; i++) {
        open[n_open] = emit_option(m, node->lazy);
        if (open[n_open++] == NULL || !emit_node(m, node->child)) return false;
    }
    for (int i = 0; i < n_open; i++) *open[i] = m->out->n;
    return true;
}

static bool emit_choice(Maker *m, const Node *node) {
    int jumps = NONE; /* JUMPs to the end, linked by x until it is known */
    for (int i = node->child; i != NONE; i = m->nodes[i].after) {
        bool last = m->nodes[i].after == NONE;
        int *other = last ? NULL : emit_option(m, false);
        if ((!last && other == NULL) || !emit_node(m, i)) return false;
        if (last) break;
        int jump = emit(m, DFA_JUMP, jumps, 0);
        if (jump == NONE) return false;
        jumps = jump;
        *other = m->out->n;
    }
    while (jumps != NONE) {
        int next = m->out->inst[jumps].x;
        m->out->inst[jumps].x = m->out->n;
        jumps = next;
    }
    return true;
}

static bool emit_node(Maker *m, int at) {
    const Node *node = &m->nodes[at];
    int made;
    switch (node->kind) {
    case NODE_SET:
        return emit(m, DFA_SET, node->set, 0) != NONE;
    case NODE_AHEAD:
        made = emit(m, DFA_AHEAD, node->set, node->in);
        if (made != NONE) m->out->inst[made].at_end = node->at_end;
        return made != NONE;
    case NODE_REPEAT:
        return emit_repeat(m, node);
    case NODE_CHOICE:
        return emit_choice(m, node);
    case NODE_ROW:
        break;
    }
    for (int i = node->child; i != NONE; i = m->nodes[i].after)
        if (!emit_node(m, i)) return false;
    return true;
}

bool dfa_program(const Regex *r, DfaProgram *out) {
    Maker m = {.r = r, .out = out};
    out->n = 0;
    int root = choice(&m);
    return root != NONE && m.at == r->n && emit_node(&m, root) && emit(&m, DFA_MATCH, 0, 0) != NONE;
}
