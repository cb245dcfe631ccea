#include "doctor_parts.h"

#include "io/clock.h"
#include "io/clock_keeping.h"
#include "io/disk.h"
#include "io/local_addresses.h"
#include "io/process.h"

enum { FILES_LIMIT = 256, NANOSECONDS = 1000000000, MISSING_LIMIT = 64, WHY_LIMIT = 1000 };

/* ---- addresses --------------------------------------------------------------------------- */

static void add_address(struct ip_address *addresses, size_t *count, size_t limit,
                        const struct ip_address *address)
{
    for (size_t i = 0; i < *count; i++) {
        if (ip_address_equal(&addresses[i], address)) {
            return;
        }
    }
    if (*count < limit) {
        addresses[(*count)++] = *address;
    }
}

static bool is_of_the_world(const struct ip_address *address)
{
    return address->family != IP_NONE && !ip_address_is_private(address) &&
           !ip_address_is_never_next_hop(address);
}

static void add_sending(struct doctor *doctor, const struct ip_address *address)
{
    add_address(doctor->sending, &doctor->names.sending_count, DOCTOR_ADDRESS_LIMIT, address);
}

static void add_receiving(struct doctor *doctor, const struct ip_address *address)
{
    add_address(doctor->receiving, &doctor->names.receiving_count, 2 * DOCTOR_ADDRESS_LIMIT,
                address);
}

/* What somebody has said; else the source addresses; else what the system would take. */
static void find_sending(struct doctor *doctor)
{
    const struct doctor_request *request = doctor->request;
    const struct config_networks *said = &doctor->config->doctor.addresses;
    const struct config_delivery *delivery = &doctor->config->delivery;
    const struct ip_address sources[] = {delivery->source_v4, delivery->source_v6};
    bool has_source = sources[0].family != IP_NONE || sources[1].family != IP_NONE;

    for (size_t i = 0; i < request->address_count; i++) {
        add_sending(doctor, &request->addresses[i]);
    }
    for (size_t i = 0; request->address_count == 0 && i < said->count; i++) {
        add_sending(doctor, &said->items[i].address);
    }
    for (size_t i = 0; doctor->names.sending_count == 0 && i < 2; i++) {
        enum ip_family family = i == 0 ? IP_V4 : IP_V6;
        struct ip_address address = sources[i];
        bool is_known =
            has_source ? address.family != IP_NONE : local_address_of_route(family, &address);
        if (is_known && is_of_the_world(&address)) {
            add_sending(doctor, &address);
        }
    }
}

static void find_receiving(struct doctor *doctor)
{
    const struct doctor_request *request = doctor->request;
    struct ip_address *local;
    size_t count = local_addresses(doctor->arena, &local);

    for (size_t i = 0; i < doctor->names.sending_count; i++) {
        add_receiving(doctor, &doctor->sending[i]);
    }
    for (size_t i = 0; i < request->listening_count; i++) {
        const struct ip_address *address = &request->listening[i].address;
        if (is_of_the_world(address)) {
            add_receiving(doctor, address);
        }
        for (size_t k = 0; ip_address_is_unspecified(address) && k < count; k++) {
            if (is_of_the_world(&local[k])) {
                add_receiving(doctor, &local[k]);
            }
        }
    }
}

void doctor_find_addresses(struct doctor *doctor)
{
    doctor->names = (struct doctor_names){.hostname = doctor->config->hostname,
                                          .helo = doctor->config->delivery.helo,
                                          .sending = doctor->sending,
                                          .receiving = doctor->receiving};
    find_sending(doctor);
    find_receiving(doctor);
}

/* ---- files ------------------------------------------------------------------------------- */

static struct doctor_file look_at_file(enum doctor_file_kind kind, const char *path)
{
    struct doctor_file file = {.kind = kind, .path = bytes_from_text(path)};
    struct file_rights rights;

    if (file_read_rights(path, &rights)) {
        file.is_known = true;
        file.owner = rights.owner;
        file.mode = rights.mode;
    }
    return file;
}

/* Who works in the directories. In the worker that is us; to look a name up would load libraries its sandbox does not know. */
static struct doctor_account find_account(const struct doctor *doctor)
{
    bool is_other = !doctor->request->is_daemon && process_is_root();
    struct bytes user = doctor->config->user;
    struct doctor_account account = {
        .name = is_other || doctor->request->is_daemon ? user : BYTES("")};

    account.is_known =
        process_find_user(is_other && user.len > 0 ? user.data : "", &account.id);
    return account;
}

static void look_at_files(struct doctor *doctor)
{
    const struct config *config = doctor->config;
    struct doctor_file *files = arena_alloc(doctor->arena, FILES_LIMIT * sizeof *files);
    struct doctor_account account = find_account(doctor);
    size_t count = 0;

    for (const struct config_file *file = config->files;
         file != NULL && count + 2 < FILES_LIMIT; file = file->next) {
        if (file->is_on_disk) {
            files[count++] = look_at_file(
                file->is_secret ? DOCTOR_FILE_SECRET : DOCTOR_FILE_RULES, file->name);
        }
    }
    /* before the first start they are not there */
    if (file_exists(config->spool.data)) {
        files[count++] = look_at_file(DOCTOR_DIRECTORY, config->spool.data);
    }
    if (file_exists(config->state.data)) {
        files[count++] = look_at_file(DOCTOR_DIRECTORY, config->state.data);
    }
    doctor_host_files(doctor->findings, files, count, &account);
}

static void look_at_secrets(struct doctor *doctor)
{
    const struct config *config = doctor->config;
    size_t modern = 0, classic = 0;

    for (size_t i = 0; i < config->srs.secret_count; i++) {
        const struct srs_secret *secret = &config->srs.secrets[i];
        const struct config_file *file =
            secret->is_classic ? config->srs_classic_secrets : config->srs_secrets;
        size_t number = secret->is_classic ? ++classic : ++modern;
        if (file != NULL) {
            doctor_host_secret(doctor->findings, bytes_from_text(file->name), number,
                               secret->octets);
        }
    }
}

/* ---- disks, clock ------------------------------------------------------------------------ */

/* Before the first start a directory is where its parent is. */
static const char *existing(struct doctor *doctor, struct bytes path)
{
    while (path.len > 1 && !file_exists(arena_copy_text(doctor->arena, path))) {
        path = bytes_first(path, bytes_find_last(path, '/'));
    }
    return path.len == 0 ? "/" : arena_copy_text(doctor->arena, path);
}

static void look_at_disk(struct doctor *doctor, const char *what, struct bytes path)
{
    const char *place = existing(doctor, path);
    struct doctor_disk disk = {
        .what = what, .path = path, .floor = doctor->config->limits.free_space};

    disk.is_known = disk_free_space(place, &disk.free) == DISK_OK &&
                    disk_free_files(place, &disk.free_files, &disk.most_files) == DISK_OK;
    doctor_host_disk(doctor->findings, &disk);
}

static void look_at_clock(struct doctor *doctor)
{
    struct doctor_clock clock = {.state = DOCTOR_CLOCK_UNKNOWN,
                                 .why_unknown =
                                     "the kernel does not say whether it is kept in time",
                                 .now = doctor->now};

    if (doctor->request->is_daemon && doctor->config->sandbox != CONFIG_SANDBOX_OFF) {
        clock.why_unknown = "the daemon's sandbox does not let it ask: postilion doctor can";
    } else {
        switch (clock_keeping_now()) {
        case CLOCK_KEEPING_UNKNOWN:
            break;
        case CLOCK_KEEPING_YES:
            clock.state = DOCTOR_CLOCK_KEPT;
            break;
        case CLOCK_KEEPING_NO:
            clock.state = DOCTOR_CLOCK_FREE;
            break;
        }
    }
    for (const struct config_file *file = doctor->config->files; file != NULL;
         file = file->next) {
        int64_t changed = file->stamp.modified_ns / NANOSECONDS;
        if (file->is_on_disk && changed > clock.latest) {
            clock.latest = changed;
            clock.what = bytes_from_text(file->name);
        }
    }
    doctor_host_clock(doctor->findings, &clock);
}

void doctor_look_at_host(struct doctor *doctor)
{
    look_at_secrets(doctor);
    look_at_files(doctor);
    look_at_clock(doctor);
    look_at_disk(doctor, "spool", doctor->config->spool);
    look_at_disk(doctor, "state", doctor->config->state);
}

/* ---- certificates ------------------------------------------------------------------------ */

static const char *chain_trouble(enum tls_chain chain)
{
    switch (chain) {
    case TLS_CHAIN_GOOD:
        return NULL;
    case TLS_CHAIN_DISORDERED:
        return "its chain is in disorder, or one is missing in it";
    case TLS_CHAIN_ALONE:
        return "it stands alone, and this system does not know who signed it";
    }
    return NULL;
}

static bool is_covered(const struct config *config, struct bytes name)
{
    for (size_t i = 0; i < config->certificate_count; i++) {
        if (tls_certificate_is_for(config->certificates[i].file->text, name)) {
            return true;
        }
    }
    return false;
}

void doctor_look_at_certificates(struct doctor *doctor, const struct bytes *names, size_t count)
{
    const struct config *config = doctor->config;
    struct doctor_certificate *certificates =
        arena_alloc(doctor->arena, (config->certificate_count + 1) * sizeof *certificates);
    struct bytes missing[MISSING_LIMIT];
    size_t missing_count = 0;

    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        struct file_stamp stamp;
        certificates[i] = (struct doctor_certificate){
            .path = bytes_from_text(certificate->file->name),
            .is_known = true,
            .begins = certificate->begins,
            .expires = certificate->expires,
            .chain_trouble = chain_trouble(certificate->chain),
            .is_replaced = file_read_stamp(certificate->file->name, &stamp) &&
                           !file_stamp_equal(&stamp, &certificate->file->stamp),
        };
    }
    if (!is_covered(config, config->hostname)) {
        missing[missing_count++] = config->hostname;
    }
    for (size_t i = 0; i < count && missing_count < MISSING_LIMIT; i++) {
        if (!bytes_equal_nocase(names[i], config->hostname) && !is_covered(config, names[i])) {
            missing[missing_count++] = names[i];
        }
    }
    doctor_host_certificates(doctor->findings, certificates, config->certificate_count, missing,
                             missing_count, doctor->now);
}
