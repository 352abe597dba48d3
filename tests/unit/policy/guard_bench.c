/* How does a test write to the guard, and see what it holds? */
#include "guard_bench.h"

#include "provisioning/devicetpm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

Reason reason;

int guard_remove(void **state)
{
    (void)state;
    (void)nv_undefine(bench.tpm, ANCHOR_GUARD_INDEX, &reason);
    return 0;
}

PolicyKey defined_for(const char *type)
{
    PolicyKey operator_key = operator_new(type);

    if (anchor_guard_define(bench.tpm, &operator_key, &reason) < 0)
        fail_msg("%s", reason.text);
    return operator_key;
}

int write_as(const PolicyKey *operator_key, AnchorWrite write, const char *bundle, uint64_t version)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval =
        approval_new(operator_key, bundle, version);

    return anchor_guard_write(bench.tpm, operator_key, write, &approval.record,
                              &approval.signatures[write], &reason);
}

void assert_written(const PolicyKey *operator_key, AnchorWrite write, const char *bundle,
                    uint64_t version)
{
    if (write_as(operator_key, write, bundle, version) < 0)
        fail_msg("%s", reason.text);
}

void assert_holds(const char *bundle, uint64_t version)
{
    AnchorRecord expected;
    AnchorGuard guard;

    if (anchor_guard_read(bench.tpm, &guard, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(
        anchor_record_make((Bytes){(const uint8_t *)bundle, strlen(bundle)}, version, &expected),
        0);
    assert_true(guard.written);
    assert_true(anchor_record_equal(&guard.record, &expected));
}
