/*
 * hardening - rights a process gives up for itself and all it starts, and for good.
 *
 * Use     each is one step; all of them before other threads are started. Privileges of the account
 *         are process_drop_privileges; what files can be reached is io/sandbox.
 * Errors  what cannot fail on a kernel that works says nothing.
 */
#ifndef IO_HARDENING_H
#define IO_HARDENING_H

#include "base/bytes.h"

/* exec() never gives rights again (set-user-id programs, file capabilities). */
void hardening_forbid_new_privileges(void);
/* No core file, and no debugger of the same account: what is in memory stays there. */
void hardening_forbid_core_dumps(void);
/* Gives up all capabilities. As root, `keep_file_rights` keeps those that reach other accounts'
 * files; everything else (networks, modules, ptrace, mount ...) goes in any case. */
void hardening_drop_capabilities(bool keep_file_rights);
/* Closes all descriptors but 0 to 2 and these. */
void hardening_close_all_but(const int *kept, size_t count);

#endif
