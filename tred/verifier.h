/* What SeGWs are judged by (profile, anchors, CRLs), and the process tred-verify that was handed it
 * and judges.
 *
 * A verifier is made, and its owner hands it profile and anchors, one after another; then it is
 * attached to the event loop, and goes on by itself. Whatever changes or fails from then on is a
 * new process, which takes over once it has read all that it is handed: when the CRLs change, and
 * when a process has died, gone beyond a limit or answered nonsense.
 *
 * All that it is handed is held here, CRLs too (crl_files.h), so that a process is as good as the
 * one before. A file that can't be read is told (CrlsInForce.problem), and its issuers' last lists
 * stay in force; only where the CRLs could never be read as a whole, nobody is judged.
 *
 * A process that nobody has wanted for some seconds is ended. The next verifier_want() or
 * verifier_ask() starts another. */
#pragma once

#include "base/cleanup.h"
#include "base/reason.h"
#include "tred/crl_files.h"
#include "verify/frames.h"

#include <systemd/sd-event.h>

#define SEGW_PROFILE_3GPP "3gpp" /* the built-in profile's name */

enum { VERIFIER_WAITING_MAX = 64 };

/* Positive: the verifier itself failed, and not what it was to read; `reason` says how. */
enum {
    VERIFIER_E_FAILED = 1,
    VERIFIER_E_NO_PROGRAM, /* what is configured is none; a verifier that was started never has that
                            */
};

typedef struct Verifier Verifier;

/* All borrowed. */
typedef struct VerifierOptions {
    const char *program;       /* path of tred-verify */
    const char *profile;       /* SEGW_PROFILE_3GPP or a file's path */
    const char *crl_directory; /* NULL: revocation is off */
} VerifierOptions;

/* Starts a process and hands it the profile, whose answer is due then. 0, VERIFIER_E_FAILED,
 * VERIFIER_E_NO_PROGRAM, or -errno with `reason` about the profile. */
int verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason);
Verifier *verifier_ref(Verifier *verifier);
void verifier_unref(Verifier *verifier);
DEFINE_POINTER_CLEANUP(Verifier, verifier_unref);

/* Hands it a file's octets, which messages call `name`, when no answer is due: FRAME_ANCHORS, in
 * place of any before; FRAME_CHAIN, of which it finds the chain of `public_key` (else empty); or
 * FRAME_CRL, to see whether it can be read. Only before verifier_attach(). 0, after which its
 * answer is due; VERIFIER_E_FAILED; or -errno. */
int verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                  Bytes public_key, Reason *reason);

/* Takes the answer that is due, and waits for it: not in the event loop, but in its `ready`. 0;
 * VERIFIER_E_FAILED; or -errno with `reason` about what was handed over. Of a chain -ENOKEY (none
 * of the certificates is for that key), -ENOENT (the device's has no FQDN), -E2BIG (the chain is
 * too long). */
int verifier_take(Verifier *verifier, Reason *reason);

/* Has the loop wait for the answer that is due: `ready` is called once, when verifier_take() does
 * not wait any more, be it that there will be no answer. 0 or -errno. */
typedef void (*VerifierReady)(void *userdata);
int verifier_when_ready(Verifier *verifier, sd_event *event, VerifierReady ready, void *userdata);

/* Of the anchors that it has read; of the chain, until the next call. */
const AnchorFacts *verifier_anchors(const Verifier *verifier);
const ChainFacts *verifier_chain(const Verifier *verifier);

/* Lets it go on by itself: it reads the CRLs, those that have not changed as well, into `crls`
 * (borrowed; the same for every verifier), and judges. 0 or -errno. */
int verifier_attach(Verifier *verifier, sd_event *event, CrlsInForce *crls);

/* A peer will be shown soon: has a process that was ended for want of work start again, and read
 * what it is handed meanwhile. Before verifier_attach() it does nothing. */
void verifier_want(Verifier *verifier);

/* Looks at the CRLs, and has others than those in force read, though nobody is to be judged. */
void verifier_look(Verifier *verifier);

typedef struct Verification Verification;

/* `verdict` is NULL where there is none: `reason` says why. The verification is over. */
typedef void (*VerificationCallback)(const Verdict *verdict, const char *reason, void *userdata);

/* Has a peer judged; `callback` is called from the event loop, once, unless it is cancelled. 0,
 * -EBUSY (VERIFIER_WAITING_MAX peers are waiting), or -errno. */
int verifier_ask(Verifier *verifier, const VerifyRequest *request, VerificationCallback callback,
                 void *userdata, Verification **ret);
void verification_cancel(Verification *verification);
