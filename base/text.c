/* text.c: see text.h. Three rows of the distance matrix are enough, because a swap looks back two rows. */
#include "base/text.h"

#include <string.h>

int text_distance(const char *a, const char *b) {
    enum { MOST = 48 };
    int rows[3][MOST + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > MOST || m > MOST) return MOST;
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++) last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        int *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[m];
}

int text_is_near(const char *typed, int distance) {
    int most = (int)(strlen(typed) / 3);
    if (most < 1) most = 1;
    if (most > 3) most = 3;
    return distance <= most;
}
