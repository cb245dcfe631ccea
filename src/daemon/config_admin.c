#include "config_internal.h"

static const char HOW_TO_WRITE[] =
    "write 127.0.0.1:8025, unix:/run/postilion/admin.sock, or off";

static void read_path(struct config_loading *loading, const struct config_word *word)
{
    struct config_word path = *word;

    path.text = bytes_skip(word->text, 5);
    if (path.text.len == 0) {
        config_error_at(loading, word, HOW_TO_WRITE, "the path of the socket is missing");
        return;
    }
    loading->config->admin.path = bytes_from_text(config_resolve_path(loading, &path));
}

void config_apply_admin(struct config_loading *loading, const struct config_option *option,
                        const struct config_node *node)
{
    const struct config_word *word = config_single_word(loading, option, node);
    struct ip_endpoint endpoint;

    if (word == NULL || bytes_equal(word->text, BYTES("off"))) {
        return;
    }
    if (bytes_starts_with(word->text, BYTES("unix:"))) {
        read_path(loading, word);
        return;
    }
    if (!ip_endpoint_parse(word->text, 0, &endpoint)) {
        config_error_at(loading, word, HOW_TO_WRITE, "this is no address with a port");
        return;
    }
    if (!ip_address_is_loopback(&endpoint.address)) {
        config_errors_add(loading->errors, CONFIG_WARNING, word->place,
                          "127.0.0.1:8025, and ssh -L 8025:127.0.0.1:8025 from elsewhere",
                          "whoever can reach this address can read the status page: it has no "
                          "passwords and no TLS");
    }
    loading->config->admin.endpoint = endpoint;
}
