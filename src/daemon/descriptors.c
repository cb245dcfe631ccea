#include "daemon/descriptors.h"

#include "daemon/config_schema.h"
#include "io/log.h"

#include <inttypes.h>
#include <string.h>

uint64_t descriptors_wanted(const struct config *config)
{
    return config->limits.connections + DESCRIPTORS_RESERVE;
}

uint64_t descriptors_connections(const struct config *config, uint64_t limit)
{
    uint64_t reserve = limit / 2 < DESCRIPTORS_RESERVE ? limit / 2 : DESCRIPTORS_RESERVE;
    uint64_t room = limit - reserve;

    return config->limits.connections < room ? config->limits.connections : room;
}

static bool are_few(const struct config *config, uint64_t limit)
{
    return descriptors_connections(config, limit) < config->limits.connections;
}

/* Where limits.connections was set, or the file as a whole. */
static struct config_place place_of_connections(const struct config *config)
{
    for (const struct config_setting *at = config->settings; at != NULL; at = at->next) {
        if (!at->is_default && strcmp(at->option->context, "limits") == 0 &&
            strcmp(at->option->name, "connections") == 0) {
            return at->node->words[0].place;
        }
    }
    return (struct config_place){.file = config->files};
}

void descriptors_report(const struct config *config, uint64_t limit,
                        struct config_errors *errors)
{
    if (are_few(config, limit)) {
        config_errors_add(errors, CONFIG_WARNING, place_of_connections(config),
                          "raise the hard limit of open files: LimitNOFILE= of the service, or "
                          "ulimit -Hn",
                          "limits.connections %" PRIu64 " needs %" PRIu64
                          " open files; here %" PRIu64 " are allowed, room for %" PRIu64
                          " clients",
                          config->limits.connections, descriptors_wanted(config), limit,
                          descriptors_connections(config, limit));
    }
}

void descriptors_log(const struct config *config, uint64_t limit)
{
    struct log_line line;

    if (are_few(config, limit)) {
        log_begin(&line, LOG_WARNING, "few-descriptors");
        log_number(&line, "limit", (int64_t)limit);
        log_number(&line, "wanted", (int64_t)descriptors_wanted(config));
        log_number(&line, "connections", (int64_t)descriptors_connections(config, limit));
        log_end(&line);
    }
}
