#include "connection_stage.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static void on_changed(void *userdata)
{
    ConnectionTold *told = userdata;
    ConnectionInfo info;

    if (!told->connection)
        return;
    connection_info(told->connection, &info);
    told->states |= 1U << info.state;
}

static void on_established(void *userdata)
{
    ConnectionTold *told = userdata;

    told->established = true;
    told->times_established++;
}

static void on_closed(void *userdata, const char *reason)
{
    ConnectionTold *told = userdata;

    assert_non_null(reason);
    told->closed = true;
}

static bool on_is_inner(void *userdata, const Endpoint *address)
{
    (void)userdata, (void)address;
    return false;
}

static bool others_have_sa_with(void *userdata, const Endpoint *segw)
{
    (void)userdata, (void)segw;
    return false;
}

const ConnectionHandlers connection_told_handlers = {on_changed, on_established, on_closed,
                                                     on_is_inner, others_have_sa_with};

void connection_stage_setup(Stage *stage, Config *config)
{
    log_set_level(LOG_CRIT);
    assert_int_equal(stage_setup(stage), 0);
    assert_int_equal(config_init(config), 0);
    config->segw_address = strdup("127.0.0.1");
    config->port = stage->port;
    config->nat_t_port = stage->nat_port;
    stage->ike_offer = &config->ike_offer;
    stage->esp_offer = &config->esp_offer;
}

void connection_stage_teardown(Stage *stage, Config *config, Connection *connection)
{
    connection_free(connection);
    config_deinit(config);
    stage_teardown(stage);
}
