/*
 * doctor_lists - are our addresses in block lists, and how do they come out again?
 *
 * Lists   those of the configuration, and a few public ones that let anybody ask a few questions a day.
 * Guard   forward/dns_list: a list that names everybody, or does not want to be asked, says nothing about us.
 * DNS     by replay: one list and one address a call.
 */
#ifndef FORWARD_DOCTOR_LISTS_H
#define FORWARD_DOCTOR_LISTS_H

#include "forward/dns_list.h"
#include "mail/finding.h"

struct doctor_list {
    struct dns_list list;
    const char *removal; /* where one asks to be taken out; NULL: not known */
    enum finding_severity severity;
};

/* The public ones: by number, from 0. False: there is no more. */
bool doctor_lists_public(size_t number, struct doctor_list *list);
/* One of the configuration; its removal page when the zone is a public one. */
struct doctor_list doctor_lists_own(const struct dns_list *list);
enum auth_status doctor_lists_check(const struct doctor_list *list,
                                    const struct ip_address *address, struct dns_facts *facts,
                                    struct findings *findings);

#endif
