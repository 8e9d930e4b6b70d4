/* fault.h: planted faults, only in builds with -DLORAC_FAULTS=ON; in every other build FAULT(x) is `false` and vanishes.
 *
 * LORAC_FAULT="NAME" plants a fault of faults.def at each of its places; "NAME=N" at the N-th time (from 1) such a place
 * is passed in this process; "NAME=N+" from the N-th time on. Several are separated by commas. An unknown name ends the
 * program with a message, so that a test with a misspelt fault cannot pass.
 * LORAC_FAULT_LOG=FILE appends "NAME N" for each passage of a chosen fault, and "NAME N struck" where it strikes: a test
 * learns from an undisturbed run (NAME=999999999) how many passages there are. */
#ifndef LORAC_BASE_FAULT_H
#define LORAC_BASE_FAULT_H

#include <stdbool.h>

typedef enum FaultId {
#define FAULT_ROW(name, text) FAULT_##name,
#include "base/faults.def"
    FAULT_COUNT
} FaultId;

#ifdef LORAC_FAULTS
/* Counts this passage and says whether the fault strikes at it. Safe from several threads. */
bool fault_hit(FaultId id);
#define FAULT(name) fault_hit(FAULT_##name)
/* A place where the process may be killed: before each change of a file. */
void fault_kill(void);
#define FAULT_KILL() fault_kill()
#else
#define FAULT(name) false
#define FAULT_KILL() ((void)0)
#endif

#endif
