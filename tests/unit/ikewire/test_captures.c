/* Is real traffic of another implementation understood so well that the same octets can be written
 * anew? The captures' folder is the one argument; its README.md says what each one is. */
#include "base/file.h"
#include "ikewire/message.h"
#include "tests/unit/ikewire/octets.h"
#include "tests/unit/ikewire/reencode.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;

typedef void (*CaptureCheck)(const char *name, Bytes capture);

static bool has_suffix(const char *name, const char *suffix)
{
    size_t size = strlen(name), suffix_size = strlen(suffix);

    return size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

static Bytes capture_read(const char *name)
{
    char path[4096];
    uint8_t *data = NULL;
    size_t size = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(file_read(path, IKE_MESSAGE_MAX, &data, &size), 0);
    return (Bytes){data, size};
}

/* Hands every capture of one kind to `check`. Returns how many there were. */
static size_t for_each_capture(const char *suffix, CaptureCheck check)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    const struct dirent *entry;

    assert_non_null(entries);
    while ((entry = readdir(entries))) { // NOLINT(concurrency-mt-unsafe)
        if (!has_suffix(entry->d_name, suffix))
            continue;
        _cleanup_(octets_free) Bytes capture = capture_read(entry->d_name);
        check(entry->d_name, capture);
        count++;
    }
    (void)closedir(entries);
    return count;
}

static void assert_same(const char *name, const Writer *writer, Bytes expected)
{
    Bytes written = {0};

    if (writer_finish(writer, &written) < 0 || !bytes_equal(written, expected))
        fail_msg("%s: what was written anew differs", name);
}

static void check_message(const char *name, Bytes capture)
{
    static uint8_t buffer[IKE_MESSAGE_MAX];
    IkeMessage message;
    IkeFault fault = {0};
    Writer writer;

    if (ike_message_decode(capture, &message, &fault) != 0)
        fail_msg("%s: %s", name, ike_fault_text(fault.code));
    writer_init(&writer, buffer, sizeof(buffer));
    message_reencode(&writer, &message);
    assert_same(name, &writer, capture);
}

static void messages_are_written_anew_octet_for_octet(void **state)
{
    (void)state;
    assert_true(for_each_capture(".message", check_message) >= 15);
}

static void check_chain(const char *name, Bytes capture)
{
    static uint8_t buffer[IKE_MESSAGE_MAX];
    IkePayloads payloads;
    IkeFault fault = {0};
    IkeChain chain;
    Writer writer;
    Bytes inner = bytes_slice(capture, 1, capture.size);

    if (ike_payloads_decode(capture.data[0], inner, &payloads, &fault) != 0)
        fail_msg("%s: %s", name, ike_fault_text(fault.code));
    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    payloads_reencode(&chain, &payloads);
    assert_int_equal(chain.first, capture.data[0]);
    assert_same(name, &writer, inner);
}

static void sealed_chains_are_written_anew_octet_for_octet(void **state)
{
    (void)state;
    assert_true(for_each_capture(".chain", check_chain) >= 17);
}

static void check_fronts_of_message(const char *name, Bytes capture)
{
    for (size_t size = 0; size < capture.size; size++) {
        _cleanup_(free_bytesp) uint8_t *front = malloc(size ? size : 1);
        IkeMessage message;
        Writer writer;

        assert_non_null(front);
        writer_init(&writer, front, size);
        writer_bytes(&writer, bytes_slice(capture, 0, size));
        /* With a Length that fits, so that it is the chain that has to show what is missing. */
        if (size >= IKE_HEADER_SIZE)
            writer_patch_u32(&writer, 24, (uint32_t)size);
        if (ike_message_decode((Bytes){front, size}, &message, NULL) == 0)
            fail_msg("%s: its first %zu octets alone were taken", name, size);
    }
}

static void check_fronts_of_chain(const char *name, Bytes capture)
{
    for (size_t size = 1; size < capture.size; size++) {
        _cleanup_(octets_free) Bytes front = octets_copy(bytes_slice(capture, 1, size - 1));
        IkePayloads payloads;

        if (ike_payloads_decode(capture.data[0], front, &payloads, NULL) == 0)
            fail_msg("%s: its first %zu octets alone were taken", name, size);
    }
}

static void no_front_of_a_capture_passes_for_the_whole(void **state)
{
    (void)state;
    (void)for_each_capture(".message", check_fronts_of_message);
    (void)for_each_capture(".chain", check_fronts_of_chain);
}

static void check_suite(const char *name, uint16_t encr, uint16_t prf, uint16_t group)
{
    _cleanup_(octets_free) Bytes capture = capture_read(name);
    IkeMessage message;
    IkeSaPayload sa;

    assert_int_equal(ike_message_decode(capture, &message, NULL), 0);
    const IkePayload *payload = ike_payloads_find(&message.payloads, IKE_PAYLOAD_SA);
    assert_non_null(payload);
    assert_int_equal(ike_sa_decode(payload->body, &sa), 0);
    assert_int_equal(sa.n_proposals, 1);
    assert_int_equal(sa.proposals[0].n_transforms, 3);
    assert_int_equal(sa.proposals[0].transforms[0].id, encr);
    assert_int_equal(sa.proposals[0].transforms[1].id, prf);
    assert_int_equal(sa.proposals[0].transforms[2].id, group);
}

static void the_chosen_suites_are_those_that_the_peers_agreed_on(void **state)
{
    (void)state;
    check_suite("sa-init-response.message", IKE_ENCR_AES_GCM_16, IKE_PRF_HMAC_SHA2_256,
                IKE_GROUP_ECP_256);
    check_suite("sa-init-response-chacha.message", IKE_ENCR_CHACHA20_POLY1305,
                IKE_PRF_HMAC_SHA2_512, IKE_GROUP_CURVE25519);
}

static void check_notify(const char *name, uint16_t type)
{
    _cleanup_(octets_free) Bytes capture = capture_read(name);
    IkeMessage message;
    IkeNotify notify;

    assert_int_equal(ike_message_decode(capture, &message, NULL), 0);
    assert_true(ike_payloads_notify(&message.payloads, type, &notify));
    assert_int_equal(ike_payloads_error(&message.payloads, &notify),
                     type < IKE_NOTIFY_FIRST_STATUS);
}

static void what_the_segw_asks_for_is_found(void **state)
{
    (void)state;
    check_notify("sa-init-response-cookie.message", IKE_NOTIFY_COOKIE);
    check_notify("sa-init-request-cookie.message", IKE_NOTIFY_COOKIE);
    check_notify("sa-init-response-invalid-ke.message", IKE_NOTIFY_INVALID_KE_PAYLOAD);
    check_notify("sa-init-response-no-proposal.message", IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    check_notify("sa-init-response.message", IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS);
}

static void the_first_fragment_alone_tells_what_is_inside(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes first = capture_read("auth-request-fragment-1.message");
    _cleanup_(octets_free) Bytes second = capture_read("auth-request-fragment-2.message");
    IkeMessage message;

    assert_int_equal(ike_message_decode(first, &message, NULL), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_IDI);
    assert_int_equal(ike_message_decode(second, &message, NULL), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_written_anew_octet_for_octet),
        cmocka_unit_test(sealed_chains_are_written_anew_octet_for_octet),
        cmocka_unit_test(no_front_of_a_capture_passes_for_the_whole),
        cmocka_unit_test(the_chosen_suites_are_those_that_the_peers_agreed_on),
        cmocka_unit_test(what_the_segw_asks_for_is_found),
        cmocka_unit_test(the_first_fragment_alone_tells_what_is_inside),
    };

    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CAPTURES\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
