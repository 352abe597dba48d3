/* org.tred.TrE1.Manager: the CRLs that are in force. */
#include "tred/bus_manager_crls.h"

#include "tred/context.h"

int bus_get_crl_issuers(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;
    int r = sd_bus_message_open_container(reply, 'a', "(stt)");

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    for (size_t i = 0; r >= 0 && i < daemon->crls.n_issuers; i++) {
        const CrlFacts *facts = &daemon->crls.issuers[i];

        r = sd_bus_message_append(reply, "(stt)", facts->issuer, (uint64_t)facts->this_update,
                                  (uint64_t)facts->next_update);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_get_crl_problem(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const Daemon *daemon = userdata;

    (void)bus, (void)path, (void)interface, (void)property, (void)error;
    return sd_bus_message_append(reply, "s", daemon->crls.problem.text);
}
