/*
 * client_rule - what an operator wants done about something found out about a client.
 *
 * Shape   by value; all zero is "off".
 */
#ifndef FORWARD_CLIENT_RULE_H
#define FORWARD_CLIENT_RULE_H

enum client_action { CLIENT_OFF, CLIENT_TAG, CLIENT_DEFER, CLIENT_REFUSE, CLIENT_POINTS };

struct client_rule {
    enum client_action action;
    unsigned points; /* with CLIENT_POINTS */
};

#endif
