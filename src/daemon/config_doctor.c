#include "config_internal.h"

void config_check_doctor(struct config_loading *loading)
{
    const struct config_networks *addresses = &loading->config->doctor.addresses;
    const struct config_setting *setting =
        config_find_setting(loading->config, "doctor", "address");

    for (size_t i = 0; i < addresses->count; i++) {
        const struct ip_network *network = &addresses->items[i];
        unsigned whole = network->address.family == IP_V4 ? 32 : 128;

        if (network->prefix_bits != whole) {
            config_error_at(loading, &setting->node->words[i + 1], "write 203.0.113.7",
                            "this is a network, not an address");
        }
    }
}
