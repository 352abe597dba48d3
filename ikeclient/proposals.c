/* Reads proposals from text, by the words of the one table of algorithms, and cuts them to what one
 * IKE SA can offer. */
#include "ikeclient/proposals.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What one proposal holds so far. */
typedef struct Parts {
    bool aead;
    bool plain; /* a cipher that needs INTEG */
    bool integ;
    bool prf;
    bool ke;
    bool esn;
} Parts;

static const Algorithm *find_word(const char *text, size_t size)
{
    const Algorithm *row;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++) {
        if (strlen(row->word) == size && strncmp(row->word, text, size) == 0)
            return row;
    }
    return NULL;
}

static uint8_t role_of(uint8_t protocol)
{
    return protocol == IKE_PROTOCOL_ESP ? IKE_ROLE_ESP : IKE_ROLE_IKE;
}

/* "names that are possible here (...): ...", of all that `protocol` can negotiate. */
static int refuse_word(const char *text, size_t size, const Algorithm *row, uint8_t protocol,
                       char *problem)
{
    const char *why = !row                           ? "is not known"
                      : !row->in_profile             ? "is not in tred's profile"
                      : protocol == IKE_PROTOCOL_ESP ? "is not for ESP"
                                                     : "is for ESP alone";
    int n = snprintf(problem, PROPOSALS_PROBLEM_SIZE,
                     "names that are possible here (\"%.*s\" %s):", (int)size, text, why);

    for (size_t i = 0; (row = algorithm_at(i)) != NULL && n < PROPOSALS_PROBLEM_SIZE; i++) {
        if (row->in_profile && row->roles & role_of(protocol)) {
            n += snprintf(problem + n, (size_t)(PROPOSALS_PROBLEM_SIZE - n), " %s", row->word);
        }
    }
    return -EINVAL;
}

static bool transform_equal(const IkeTransform *a, const IkeTransform *b)
{
    return a->type == b->type && a->id == b->id && a->key_length == b->key_length;
}

static bool proposal_has(const IkeProposal *proposal, const IkeTransform *transform)
{
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        if (transform_equal(&proposal->transforms[i], transform))
            return true;
    }
    return false;
}

static int add_transform(IkeProposal *proposal, const IkeTransform *transform, char *problem)
{
    if (proposal_has(proposal, transform))
        return 0;
    if (proposal->n_transforms == IKE_TRANSFORMS_MAX) {
        (void)snprintf(problem, PROPOSALS_PROBLEM_SIZE, "proposals of at most %d transforms each",
                       IKE_TRANSFORMS_MAX);
        return -EINVAL;
    }
    proposal->transforms[proposal->n_transforms++] = *transform;
    return 0;
}

static void note_part(Parts *parts, const Algorithm *word)
{
    switch (word->type) {
    case IKE_TRANSFORM_ENCR:
        *(word->aead ? &parts->aead : &parts->plain) = true;
        break;
    case IKE_TRANSFORM_PRF:
        parts->prf = true;
        break;
    case IKE_TRANSFORM_INTEG:
        parts->integ = true;
        break;
    case IKE_TRANSFORM_KE:
        parts->ke = true;
        break;
    case IKE_TRANSFORM_ESN:
        parts->esn = true;
        break;
    default:
        break;
    }
}

/* A proposal without a PRF takes those of its integrity algorithms. */
static int add_implied_prfs(IkeProposal *proposal, Parts *parts, char *problem)
{
    size_t named = proposal->n_transforms;

    for (size_t i = 0; i < named; i++) {
        const IkeTransform *transform = &proposal->transforms[i];
        const Algorithm *row =
            algorithm_find(transform->type, transform->id, transform->key_length);
        if (!row || row->implied_prf == 0)
            continue;
        const IkeTransform prf = {IKE_TRANSFORM_PRF, row->implied_prf, 0, false};
        int r = add_transform(proposal, &prf, problem);
        if (r < 0)
            return r;
        parts->prf = true;
    }
    return 0;
}

static const char *missing_part(uint8_t protocol, const Parts *parts)
{
    if (!parts->aead && !parts->plain)
        return "a cipher in each proposal, such as aes128gcm16";
    if (parts->aead && parts->plain) /* RFC 7296 3.3: they can't share one */
        return "GCM or ChaCha20 ciphers and plain AES in proposals of their own";
    if (parts->plain && !parts->integ)
        return "an integrity algorithm beside plain AES, such as aes128-sha256";
    if (parts->aead && parts->integ)
        return "no integrity algorithm beside aes128gcm16, aes256gcm16 or chacha20poly1305";
    if (protocol == IKE_PROTOCOL_ESP)
        return NULL;
    if (!parts->prf)
        return "a PRF beside the cipher, such as aes128gcm16-prfsha256-ecp256";
    if (!parts->ke)
        return "a group at the end of each proposal, such as aes128gcm16-prfsha256-ecp256";
    return NULL;
}

static int complete_proposal(IkeProposal *proposal, Parts *parts, char *problem)
{
    if (proposal->protocol == IKE_PROTOCOL_IKE && !parts->prf) {
        int r = add_implied_prfs(proposal, parts, problem);
        if (r < 0)
            return r;
    }
    if (proposal->protocol == IKE_PROTOCOL_ESP && !parts->esn) {
        IkeTransform no_esn = {IKE_TRANSFORM_ESN, IKE_ESN_NO, 0, false};
        int r = add_transform(proposal, &no_esn, problem);
        if (r < 0)
            return r;
    }
    const char *missing = missing_part(proposal->protocol, parts);
    if (missing) {
        (void)snprintf(problem, PROPOSALS_PROBLEM_SIZE, "%s", missing);
        return -EINVAL;
    }
    return 0;
}

static int parse_proposal(const char *text, size_t size, IkeProposal *proposal, char *problem)
{
    Parts parts = {0};

    while (true) {
        const char *hyphen = memchr(text, '-', size);
        size_t length = hyphen ? (size_t)(hyphen - text) : size;
        const Algorithm *word = find_word(text, length);
        if (!word || !word->in_profile || !(word->roles & role_of(proposal->protocol)))
            return refuse_word(text, length, word, proposal->protocol, problem);
        const IkeTransform transform = {word->type, word->id, word->key_bits, false};
        int r = add_transform(proposal, &transform, problem);
        if (r < 0)
            return r;
        note_part(&parts, word);
        if (!hyphen)
            return complete_proposal(proposal, &parts, problem);
        text = hyphen + 1;
        size -= length + 1;
    }
}

int proposals_parse(const char *text, uint8_t protocol, IkeSaPayload *ret, char *problem)
{
    IkeSaPayload sa = {0};

    while (true) {
        text += strspn(text, " \t");
        size_t size = strcspn(text, ", \t");
        if (sa.n_proposals == IKE_PROPOSALS_MAX) {
            (void)snprintf(problem, PROPOSALS_PROBLEM_SIZE, "at most %d proposals",
                           IKE_PROPOSALS_MAX);
            return -EINVAL;
        }
        IkeProposal *proposal = &sa.proposals[sa.n_proposals++];
        proposal->number = (uint8_t)sa.n_proposals;
        proposal->protocol = protocol;
        int r = parse_proposal(text, size, proposal, problem);
        if (r < 0)
            return r;
        text += size;
        text += strspn(text, " \t");
        if (*text == 0)
            break;
        if (*text++ != ',') {
            (void)snprintf(problem, PROPOSALS_PROBLEM_SIZE, "commas between proposals");
            return -EINVAL;
        }
    }
    *ret = sa;
    return 0;
}

uint16_t proposals_first_group(const IkeSaPayload *offer)
{
    for (size_t i = 0; i < offer->n_proposals; i++) {
        for (size_t j = 0; j < offer->proposals[i].n_transforms; j++) {
            if (offer->proposals[i].transforms[j].type == IKE_TRANSFORM_KE)
                return offer->proposals[i].transforms[j].id;
        }
    }
    return IKE_GROUP_NONE;
}

bool proposals_have_group(const IkeSaPayload *offer, uint16_t group)
{
    IkeTransform wanted = {IKE_TRANSFORM_KE, group, 0, false};

    for (size_t i = 0; i < offer->n_proposals; i++) {
        if (proposal_has(&offer->proposals[i], &wanted))
            return true;
    }
    return false;
}

const char *proposals_group_name(uint16_t group)
{
    return algorithm_name(IKE_TRANSFORM_KE, group, 0);
}

size_t proposals_suite_key(const char *suite)
{
    const size_t size = strcspn(suite, "/");
    const Algorithm *row;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++) {
        if (row->type == IKE_TRANSFORM_ENCR && strlen(row->name) == size &&
            strncmp(row->name, suite, size) == 0) {
            const Cipher *cipher = cipher_find(row->id, row->key_bits);
            return cipher ? cipher->key_size : 0;
        }
    }
    return 0;
}

uint16_t proposals_suite_group(const char *suite)
{
    const char *slash = strrchr(suite, '/');
    const Algorithm *row;

    for (size_t i = 0; slash && (row = algorithm_at(i)) != NULL; i++) {
        if (row->type == IKE_TRANSFORM_KE && strcmp(row->name, slash + 1) == 0)
            return row->id;
    }
    return IKE_GROUP_NONE;
}

static void add_group(IkeProposal *proposal, uint16_t group)
{
    const IkeTransform transform = {IKE_TRANSFORM_KE, group, 0, false};
    char problem[PROPOSALS_PROBLEM_SIZE];

    (void)add_transform(proposal, &transform, problem);
}

void proposals_add_groups(IkeSaPayload *esp, const IkeSaPayload *ike, uint16_t first, Pfs pfs)
{
    for (size_t i = 0; i < esp->n_proposals; i++) {
        IkeProposal *proposal = &esp->proposals[i];
        if (pfs == PFS_NO)
            add_group(proposal, IKE_GROUP_NONE);
        if (proposals_have_group(ike, first))
            add_group(proposal, first);
        for (size_t j = 0; j < ike->n_proposals; j++) {
            for (size_t k = 0; k < ike->proposals[j].n_transforms; k++) {
                if (ike->proposals[j].transforms[k].type == IKE_TRANSFORM_KE)
                    add_group(proposal, ike->proposals[j].transforms[k].id);
            }
        }
        if (pfs == PFS_OPTIONAL)
            add_group(proposal, IKE_GROUP_NONE);
    }
}

static bool is_too_strong(const IkeTransform *transform, size_t most)
{
    if (transform->type != IKE_TRANSFORM_ENCR)
        return false;
    const Cipher *cipher = cipher_find(transform->id, transform->key_length);
    return !cipher || cipher->key_size > most;
}

/* True if a cipher is left in it. */
static bool limit_proposal(IkeProposal *proposal, size_t most)
{
    size_t kept = 0;
    bool has_cipher = false;

    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform transform = proposal->transforms[i];
        if (is_too_strong(&transform, most))
            continue;
        has_cipher = has_cipher || transform.type == IKE_TRANSFORM_ENCR;
        proposal->transforms[kept++] = transform;
    }
    proposal->n_transforms = kept;
    return has_cipher;
}

bool proposals_limit_key(IkeSaPayload *offer, size_t most)
{
    size_t kept = 0;

    for (size_t i = 0; i < offer->n_proposals; i++) {
        if (!limit_proposal(&offer->proposals[i], most))
            continue;
        offer->proposals[kept] = offer->proposals[i];
        offer->proposals[kept].number = (uint8_t)(kept + 1); /* RFC 7296 3.3.1: without gaps */
        kept++;
    }
    offer->n_proposals = kept;
    return kept > 0;
}
