/*
 * auth_result - the words all checks share.
 *
 * Replay   a check that needs DNS answers it does not have returns AUTH_NEEDS_DNS; what it wants
 *          stands in the dns_facts it was given. Look all of it up, call again. Until then its
 *          verdict reads "temperror".
 * RFC      8601 §2.7
 */
#ifndef AUTH_AUTH_RESULT_H
#define AUTH_AUTH_RESULT_H

enum auth_status { AUTH_DONE, AUTH_NEEDS_DNS };

enum auth_result {
    AUTH_NONE,
    AUTH_PASS,
    AUTH_FAIL,
    AUTH_SOFTFAIL, /* SPF only */
    AUTH_NEUTRAL,
    AUTH_POLICY, /* not acceptable by a rule of ours: weak key, l= and the like */
    AUTH_TEMPERROR,
    AUTH_PERMERROR,
};

const char *auth_result_text(enum auth_result result); /* "pass" ... as in RFC 8601 */

#endif
