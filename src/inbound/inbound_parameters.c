/*
 * What MAIL and RCPT say beside their addresses (RFC 1870, 6152, 6531, 3461, 8689). A parameter nobody offered
 * is refused (555), one that is malformed too (501): what is accepted is kept to.
 */
#include "inbound_session.h"

static void refuse(struct inbound_session *session, unsigned code, const char *enhanced,
                   const char *text)
{
    smtp_dialogue_refused(&session->dialogue);
    inbound_session_reply(session, code, enhanced, bytes_from_text(text));
}

/* RFC 1870 §4: up to 20 digits. What does not fit in 64 bits is too large, and no error. */
static bool read_size(struct bytes value, uint64_t *size)
{
    if (bytes_to_u64(value, size)) {
        return true;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
    }
    *size = UINT64_MAX;
    return value.len == 20;
}

static bool take_size(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    if (!read_size(parameter->value, &session->transaction.declared_size)) {
        refuse(session, 501, "5.5.4", "SIZE takes a number of octets");
        return false;
    }
    return true;
}

static bool take_body(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    bool is_8bit = bytes_equal_nocase(parameter->value, BYTES("8BITMIME"));

    session->transaction.is_8bit = is_8bit;
    if (is_8bit || bytes_equal_nocase(parameter->value, BYTES("7BIT"))) {
        return true;
    }
    if (bytes_equal_nocase(parameter->value, BYTES("BINARYMIME"))) {
        /* Content without lines could be sent on to few, and not by DATA. */
        refuse(session, 555, "5.6.1", "BINARYMIME is not offered");
    } else {
        refuse(session, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    }
    return false;
}

static bool take_utf8(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    session->transaction.is_utf8 = true;
    if (parameter->has_value) {
        refuse(session, 501, "5.5.4", "SMTPUTF8 takes no value");
        return false;
    }
    return true;
}

/* Whoever was not offered it has not been told what we can promise. */
static bool take_requiretls(struct inbound_session *session,
                            const struct smtp_parameter *parameter)
{
    if (!session->was_offered_requiretls) {
        refuse(session, 555, "5.5.4", "REQUIRETLS is not offered");
        return false;
    }
    session->transaction.requires_tls = true;
    if (parameter->has_value) {
        refuse(session, 501, "5.5.4", "REQUIRETLS takes no value");
        return false;
    }
    return true;
}

static bool take_return(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    if (!dsn_read_return(parameter->value, &session->transaction.ret)) {
        refuse(session, 501, "5.5.4", "RET is FULL or HDRS");
        return false;
    }
    return true;
}

static bool take_envid(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (!dsn_envid_is_valid(parameter->value)) {
        refuse(session, 501, "5.5.4", "ENVID takes xtext of at most 100 octets");
        return false;
    }
    transaction->envid = arena_copy(transaction->arena, parameter->value);
    return true;
}

static bool take_notify(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    if (!dsn_read_notify(parameter->value, &session->transaction.asked_notify)) {
        refuse(session, 501, "5.5.4", "NOTIFY is NEVER, or of SUCCESS, FAILURE and DELAY");
        return false;
    }
    return true;
}

static bool take_orcpt(struct inbound_session *session, const struct smtp_parameter *parameter)
{
    struct inbound_transaction *transaction = &session->transaction;

    if (!dsn_orcpt_is_valid(parameter->value, transaction->is_utf8)) {
        refuse(session, 501, "5.5.4", "ORCPT takes an address type and an address in xtext");
        return false;
    }
    transaction->asked_orcpt = arena_copy(transaction->arena, parameter->value);
    return true;
}

struct known_parameter {
    const char *name;
    bool (*take)(struct inbound_session *session, const struct smtp_parameter *parameter);
};

static const struct known_parameter MAIL_PARAMETERS[] = {
    {"SIZE", take_size},  {"BODY", take_body},   {"SMTPUTF8", take_utf8},
    {"RET", take_return}, {"ENVID", take_envid}, {"REQUIRETLS", take_requiretls},
    {NULL, NULL},
};
static const struct known_parameter RCPT_PARAMETERS[] = {
    {"NOTIFY", take_notify},
    {"ORCPT", take_orcpt},
    {NULL, NULL},
};

static bool take_parameters(struct inbound_session *session, const struct smtp_command *command,
                            const struct known_parameter *known)
{
    for (size_t i = 0; i < command->parameter_count; i++) {
        const struct smtp_parameter *parameter = &command->parameters[i];
        const struct known_parameter *found = known;

        while (found->name != NULL &&
               !bytes_equal_nocase(parameter->name, bytes_from_text(found->name))) {
            found++;
        }
        if (found->name == NULL || !session->is_esmtp) {
            refuse(session, 555, "5.5.4", "parameter not recognized or not implemented");
            return false;
        }
        if (!found->take(session, parameter)) {
            return false;
        }
    }
    return true;
}

bool inbound_take_mail_parameters(struct inbound_session *session,
                                  const struct smtp_command *command)
{
    return take_parameters(session, command, MAIL_PARAMETERS);
}

bool inbound_take_rcpt_parameters(struct inbound_session *session,
                                  const struct smtp_command *command)
{
    session->transaction.asked_notify = 0;
    session->transaction.asked_orcpt = BYTES("");
    return take_parameters(session, command, RCPT_PARAMETERS);
}
