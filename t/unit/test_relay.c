/* SPDX-License-Identifier: Apache-2.0
 *
 * A run's relay takes connections in turns, like bytes: whoever connects and
 * leaves again as fast as he can has no more of the keeper's loop than others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fdio.h"
#include "helper_conf.h"
#include "keeper_link.h"
#include "keeper_relay.h"
#include "wire.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 8
/* More than the turns of one rest. */
#define ALL_TURNS 1000

struct fixture
{
    struct event_base *base;
    struct pool_conf conf;
    struct keeper_relay relay;
    struct sockaddr_in address; /* of the relay's listener */
    int proxy;
    int clients[CLIENTS];
};

static int listener(struct sockaddr_in *ret_address)
{
    socklen_t size = sizeof(*ret_address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
    return fd;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct sockaddr_in proxy;

    fixture = (struct fixture){ .conf = { .name = "p", .connections = 1000,
                                          .network_bytes = 1u << 20 } };
    fixture.base = event_base_new();
    assert_non_null(fixture.base);
    fixture.proxy = listener(&proxy);
    memcpy(&fixture.conf.proxy.address, &proxy, sizeof(proxy));
    fixture.conf.proxy.size = sizeof(proxy);
    keeper_relay_init(&fixture.relay);
    assert_true(keeper_relay_take(&fixture.relay,
                                  listener(&fixture.address)));
    assert_int_equal(keeper_relay_start(&fixture.relay, fixture.base,
                                        &fixture.conf,
                                        &(struct pxw_field){ 0 }), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        fixture.clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fixture.clients[i],
                                 (struct sockaddr *)&fixture.address,
                                 sizeof(fixture.address)), 0);
    }
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    keeper_relay_close(&fixture->relay);
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)close(fixture->clients[i]);
    }
    (void)close(fixture->proxy);
    event_base_free(fixture->base);
    return 0;
}

/* So many rounds of the loop, as far as none of them ends the rest: how many
 * connections were taken. */
static uint32_t taken_in_rounds(struct fixture *fixture, int rounds)
{
    uint32_t taken = fixture->relay.connections;

    for (int i = 0; i < rounds; i++) {
        (void)event_base_loop(fixture->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (evtimer_pending(&fixture->relay.rest, NULL) == 0) {
            break;
        }
        taken = fixture->relay.connections;
    }
    return taken;
}

static void test_taken_one_by_one(void **state)
{
    struct fixture *fixture = *state;

    while (fixture->relay.connections < CLIENTS) {
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
    }
    assert_int_equal(fixture->relay.open, CLIENTS);
}

static void test_each_is_a_turn(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = fixture->relay.turns;

    (void)event_base_loop(fixture->base, EVLOOP_ONCE);
    assert_int_equal(fixture->relay.connections, 1);
    assert_true(fixture->relay.turns < before);
}

static void test_none_without_turns(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < ALL_TURNS; i++) {
        assert_true(keeper_relay_take_turn(&fixture->relay));
    }
    /* The one that was waited for already. */
    assert_true(taken_in_rounds(fixture, 20) <= 1);
    while (fixture->relay.connections < CLIENTS) {
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
    }
    assert_int_equal(fixture->relay.open, CLIENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taken_one_by_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_each_is_a_turn, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_none_without_turns, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
