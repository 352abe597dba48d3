/* An exchange: the calls that it takes in each state and where they lead, its beginning and its
 * end. */
#include "tred/exchange_internal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

enum { NO = -1 };

/* The state that a call leads to when it succeeds; NO where it is refused with WRONG_STATE. The
 * order is that of RFC 7296 1.2: IKE_SA_INIT both ways (Agree), the IKE_AUTH request (SignAuth,
 * Protect), its response (Unprotect, VerifyPeer), and only then its Child SA (AddChild).
 * VERIFYING takes no call; exchange_verify_end() leads from there to VERIFIED or REFUSED. Any other
 * call that fails leaves the state as it was. */
/* clang-format off */
static const int steps[EXCHANGE_CALLS][EXCHANGE_STATES] = {
    /* in state                    BEGUN            AGREED           SIGNED              VERIFYING  VERIFIED           REFUSED           REPLACED */
    [EXCHANGE_CHOOSE_GROUP]     = {EXCHANGE_BEGUN,  NO,              NO,                 NO,        NO,                NO,               NO},
    [EXCHANGE_AGREE]            = {EXCHANGE_AGREED, NO,              NO,                 NO,        NO,                NO,               NO},
    [EXCHANGE_SIGN_AUTH]        = {NO,              EXCHANGE_SIGNED, NO,                 NO,        NO,                NO,               NO},
    [EXCHANGE_PROTECT]          = {NO,              NO,              EXCHANGE_SIGNED,    NO,        EXCHANGE_VERIFIED, EXCHANGE_REFUSED, EXCHANGE_REPLACED},
    [EXCHANGE_UNPROTECT]        = {NO,              NO,              EXCHANGE_SIGNED,    NO,        EXCHANGE_VERIFIED, EXCHANGE_REFUSED, EXCHANGE_REPLACED},
    [EXCHANGE_VERIFY_PEER]      = {NO,              NO,              EXCHANGE_VERIFYING, NO,        NO,                NO,               NO},
    [EXCHANGE_OPEN_TRANSPORT]   = {NO,              EXCHANGE_AGREED, EXCHANGE_SIGNED,    NO,        NO,                NO,               NO},
    [EXCHANGE_ALLOCATE_SPI]     = {NO,              EXCHANGE_AGREED, EXCHANGE_SIGNED,    NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_SET_DSCPS]        = {NO,              EXCHANGE_AGREED, EXCHANGE_SIGNED,    NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_ADD_CHILD]        = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_REMOVE_CHILD]     = {NO,              EXCHANGE_AGREED, EXCHANGE_SIGNED,    NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_FORK]             = {NO,              EXCHANGE_AGREED, EXCHANGE_SIGNED,    NO,        NO,                NO,               NO},
    [EXCHANGE_PREPARE_CREATE]   = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_USE_CHILD]        = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_ADD_IKE_SA]       = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_INHERIT_CHILDREN] = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
    [EXCHANGE_MOVE_TRANSPORT]   = {NO,              NO,              NO,                 NO,        EXCHANGE_VERIFIED, NO,               NO},
};
/* clang-format on */

static const char *const state_names[EXCHANGE_STATES] = {
    [EXCHANGE_BEGUN] = "begun",       [EXCHANGE_AGREED] = "agreed",
    [EXCHANGE_SIGNED] = "signed",     [EXCHANGE_VERIFYING] = "verifying",
    [EXCHANGE_VERIFIED] = "verified", [EXCHANGE_REFUSED] = "refused",
    [EXCHANGE_REPLACED] = "replaced",
};

static const char *const call_names[EXCHANGE_CALLS] = {
    [EXCHANGE_CHOOSE_GROUP] = "ChooseGroup",
    [EXCHANGE_AGREE] = "Agree",
    [EXCHANGE_SIGN_AUTH] = "SignAuth",
    [EXCHANGE_PROTECT] = "Protect",
    [EXCHANGE_UNPROTECT] = "Unprotect",
    [EXCHANGE_VERIFY_PEER] = "VerifyPeer",
    [EXCHANGE_OPEN_TRANSPORT] = "OpenTransport",
    [EXCHANGE_ALLOCATE_SPI] = "AllocateSpi",
    [EXCHANGE_SET_DSCPS] = "SetDscps",
    [EXCHANGE_ADD_CHILD] = "AddChild",
    [EXCHANGE_REMOVE_CHILD] = "RemoveChild",
    [EXCHANGE_FORK] = "Fork",
    [EXCHANGE_PREPARE_CREATE] = "PrepareCreateChildSa",
    [EXCHANGE_USE_CHILD] = "UseChild",
    [EXCHANGE_ADD_IKE_SA] = "AddIkeSa",
    [EXCHANGE_INHERIT_CHILDREN] = "InheritChildren",
    [EXCHANGE_MOVE_TRANSPORT] = "MoveTransport",
};

int exchange_allows(const Exchange *exchange, ExchangeCall call, Reason *reason)
{
    if (steps[call][exchange->state] != NO)
        return 0;
    if (exchange->state == EXCHANGE_REFUSED) {
        return reason_set(
            reason, EXCHANGE_E_WRONG_STATE,
            "%s is not possible: the peer was refused. Close this exchange and begin another",
            call_names[call]);
    }
    if (exchange->state == EXCHANGE_REPLACED) {
        return reason_set(
            reason, EXCHANGE_E_WRONG_STATE,
            "%s is not possible: another exchange has taken this one's Child SAs over. "
            "Make the call there, and close this one",
            call_names[call]);
    }
    return reason_set(
        reason, EXCHANGE_E_WRONG_STATE,
        "%s is not possible in state \"%s\". The order is Agree, SignAuth, Protect, Unprotect, "
        "VerifyPeer, AddChild; Agree, SignAuth and VerifyPeer succeed once",
        call_names[call], state_names[exchange->state]);
}

void exchange_step(Exchange *exchange, ExchangeCall call)
{
    int next = steps[call][exchange->state];

    assert(next != NO);
    exchange->state = (ExchangeState)next;
}

int exchange_check_group(uint16_t group, Reason *reason)
{
    if (group_find(group))
        return 0;
    return reason_set(reason, EXCHANGE_E_GROUP_NOT_SUPPORTED,
                      "Group %u (%s) is not in the profile. It has %s", group,
                      algorithm_name(IKE_TRANSFORM_KE, group, 0), group_list());
}

int exchange_dh_take(ExchangeContext *context, uint16_t group, Dh **ret, Reason *reason)
{
    int r = exchange_check_group(group, reason);

    if (r != 0)
        return r;
    context->group = group;
    if (context->spare_dh && dh_group(context->spare_dh) == group) {
        *ret = steal_pointer(context->spare_dh);
        return 0;
    }
    return dh_new(group, ret);
}

static int key_offer_make(ExchangeContext *context, uint16_t group, KeyOffer **ret, Reason *reason)
{
    _cleanup_(dh_freep) Dh *dh = NULL;
    int r = exchange_dh_take(context, group, &dh, reason);

    return r != 0 ? r : key_offer_new(&dh, ret);
}

void exchange_enlist(Exchange *exchange, ExchangeContext *context, const Segw *segw,
                     ExchangeState state)
{
    exchange->state = state;
    exchange->segw = segw;
    exchange->context = context;
    exchange->next = context->exchanges;
    if (exchange->next)
        exchange->next->previous = exchange;
    context->exchanges = exchange;
}

void exchange_prepare(ExchangeContext *context)
{
    Dh *dh = NULL;

    if (context->group == IKE_GROUP_NONE ||
        (context->spare_dh && dh_group(context->spare_dh) == context->group))
        return;
    if (dh_new(context->group, &dh) < 0)
        return;
    exchange_forget_prepared(context);
    context->spare_dh = dh;
}

void exchange_forget_prepared(ExchangeContext *context)
{
    dh_free(steal_pointer(context->spare_dh));
}

int exchange_ids_new(uint64_t *ret_spi, uint8_t *ret_nonce)
{
    do { /* RFC 7296 3.1: zero is no SPI */
        if (RAND_bytes((unsigned char *)ret_spi, sizeof(*ret_spi)) != 1)
            return -EIO;
    } while (*ret_spi == 0);
    return RAND_bytes(ret_nonce, EXCHANGE_NONCE_SIZE) == 1 ? 0 : -EIO;
}

int exchange_new(ExchangeContext *context, const Segw *segw, uint16_t group, Exchange **ret,
                 Reason *reason)
{
    _cleanup_(exchange_freep) Exchange *exchange = calloc(1, sizeof(*exchange));
    int r;

    if (!exchange)
        return -ENOMEM;
    r = key_offer_make(context, group, &exchange->offer, reason);
    if (r != 0)
        return r;
    r = exchange_ids_new(&exchange->spi_i, exchange->nonce_i);
    if (r < 0)
        return r;
    if (context->verifier)
        exchange->verifier = verifier_ref(context->verifier);
    exchange_enlist(exchange, context, segw, EXCHANGE_BEGUN);
    *ret = steal_pointer(exchange);
    return 0;
}

int exchange_fork(Exchange *exchange, Exchange **ret, Reason *reason)
{
    Exchange *fork;
    int r;

    r = exchange_allows(exchange, EXCHANGE_FORK, reason);
    if (r != 0)
        return r;
    if (!exchange->offer) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "Fork is not possible: the IKE_AUTH request was answered, and so it is "
                          "known whose response was the peer's");
    }
    fork = calloc(1, sizeof(*fork));
    if (!fork)
        return -ENOMEM;
    fork->offer = key_offer_ref(exchange->offer);
    fork->spi_i = exchange->spi_i;
    memcpy(fork->nonce_i, exchange->nonce_i, sizeof(fork->nonce_i));
    if (exchange->verifier)
        fork->verifier = verifier_ref(exchange->verifier);
    exchange_enlist(fork, exchange->context, exchange->segw, EXCHANGE_BEGUN);
    *ret = fork;
    return 0;
}

int owned_bytes_copy(Bytes from, OwnedBytes *ret)
{
    ret->data = malloc(from.size + 1); /* malloc(0) may be NULL */
    if (!ret->data)
        return -ENOMEM;
    bytes_copy(ret->data, from);
    ret->size = from.size;
    return 0;
}

void exchange_forget_init(Exchange *exchange)
{
    free(exchange->request.data);
    free(exchange->response.data);
    exchange->request = exchange->response = (OwnedBytes){0};
}

void exchange_forget_auth(Exchange *exchange)
{
    negotiation_forget(&exchange->auth);
    exchange->peer_id_body = exchange->peer_auth = (Bytes){0};
}

/* Nobody inherits from what is gone. */
static void heirs_forget(const Exchange *exchange)
{
    for (Exchange *other = exchange->context->exchanges; other; other = other->next) {
        if (other->made_from == exchange)
            other->made_from = NULL;
    }
}

void exchange_free(Exchange *exchange)
{
    if (!exchange)
        return;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    if (exchange->previous) {
        exchange->previous->next = exchange->next;
    } else if (exchange->context) {
        exchange->context->exchanges = exchange->next;
    }
    if (exchange->context)
        heirs_forget(exchange);

    exchange_sign_cancel(exchange);
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++)
        exchange_child_deinit(exchange, &exchange->children[i]);
    exchange_transport_free(exchange->transport);
    protection_free(exchange->protection);
    ike_keys_deinit(&exchange->keys);
    key_offer_unref(exchange->offer);
    exchange_forget_init(exchange);
    exchange_forget_auth(exchange);
    negotiation_forget(&exchange->own_create);
    negotiation_forget(&exchange->peer_create);
    for (size_t i = 0; i < exchange->n_prepared; i++)
        prepared_forget(&exchange->prepared[i]);
    verifier_unref(exchange->verifier);
    evidence_unref(exchange->evidence);
    free(exchange);
}

int exchange_choose_group(Exchange *exchange, uint16_t group, Reason *reason)
{
    _cleanup_(key_offer_unrefp) KeyOffer *offer = NULL;
    int r;

    r = exchange_allows(exchange, EXCHANGE_CHOOSE_GROUP, reason);
    if (r != 0)
        return r;
    if (key_offer_is_in_use(exchange->offer)) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "ChooseGroup is not possible: another response to this request was taken "
                          "already; close this exchange and begin another");
    }
    if (exchange->n_group_changes == EXCHANGE_GROUP_CHANGES_MAX) {
        return reason_set(
            reason, EXCHANGE_E_WRONG_STATE,
            "The group was changed %d times already. Close this exchange and begin another",
            EXCHANGE_GROUP_CHANGES_MAX);
    }
    r = key_offer_make(exchange->context, group, &offer, reason);
    if (r != 0)
        return r;

    key_offer_unref(exchange->offer);
    exchange->offer = steal_pointer(offer);
    exchange->n_group_changes++;
    exchange_step(exchange, EXCHANGE_CHOOSE_GROUP);
    return 0;
}

const Segw *exchange_segw(const Exchange *exchange)
{
    return exchange->segw;
}

ExchangeState exchange_state(const Exchange *exchange)
{
    return exchange->state;
}

bool exchange_is_unsigned(const Exchange *exchange)
{
    return exchange->state == EXCHANGE_BEGUN || exchange->state == EXCHANGE_AGREED;
}

const char *exchange_state_name(ExchangeState state)
{
    return state_names[state];
}

uint64_t exchange_spi_i(const Exchange *exchange)
{
    return exchange->spi_i;
}

uint64_t exchange_spi_r(const Exchange *exchange)
{
    return exchange->spi_r;
}

Bytes exchange_nonce_i(const Exchange *exchange)
{
    return BYTES_OF(exchange->nonce_i);
}

Bytes exchange_ke_i(const Exchange *exchange)
{
    return exchange->state == EXCHANGE_BEGUN ? dh_public(key_offer_dh(exchange->offer))
                                             : (Bytes){0};
}

const char *exchange_suite_name(const Exchange *exchange)
{
    return exchange->suite_name;
}

const char *exchange_peer_identity(const Exchange *exchange)
{
    return exchange->peer_identity;
}

time_t exchange_peer_vouched(const Exchange *exchange)
{
    return exchange->peer_vouched;
}

time_t exchange_peer_expires(const Exchange *exchange)
{
    return exchange->peer_expires;
}

uint8_t exchange_peer_method(const Exchange *exchange)
{
    return exchange->peer_auth_method;
}
