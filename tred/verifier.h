/* What SeGWs are judged by (profile, anchors, CRLs), and the process tred-verify that was handed it
 * and judges.
 *
 * A verifier is made and handed profile and anchors while its owner waits; then it is attached to
 * the event loop, and nothing waits for it any more. Whatever changes or fails from then on is a
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

/* Starts a process and has it read the profile. 0, VERIFIER_E_FAILED, VERIFIER_E_NO_PROGRAM, or
 * -errno with `reason` about the profile. */
int verifier_new(const VerifierOptions *options, Verifier **ret, Reason *reason);

/* The same in two steps, for tred's own start: what is done between them is done while the process
 * starts, for which a slow machine is given more time. Nothing else is asked of the verifier before
 * the second. */
int verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason);
int verifier_begun(Verifier *verifier, Reason *reason);
Verifier *verifier_ref(Verifier *verifier);
void verifier_unref(Verifier *verifier);
DEFINE_POINTER_CLEANUP(Verifier, verifier_unref);

/* Has it read a bundle of anchors, which messages call `name`, in place of any before. Only before
 * verifier_attach(). 0, VERIFIER_E_FAILED, or -errno with `reason` about the bundle. */
int verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name, Reason *reason);

/* Of the anchors that it has read. */
const AnchorFacts *verifier_anchors(const Verifier *verifier);

/* Has it find the chain of the device key among the certificates of a file's octets. Only before
 * verifier_attach(). *ret borrows from the verifier until its next call. 0, VERIFIER_E_FAILED;
 * -ENOKEY (none of them is for that key), -ENOENT (it carries no FQDN), -E2BIG (the chain is too
 * long), or another -errno with `reason` about the file. */
int verifier_read_chain(Verifier *verifier, Bytes certificates, const char *name, Bytes public_key,
                        ChainFacts *ret, Reason *reason);

/* Has it read a file of CRLs, to see whether it can. Only before verifier_attach(). 0,
 * VERIFIER_E_FAILED, or -errno with `reason` about the file. */
int verifier_try_crl(Verifier *verifier, const CrlFile *file, Reason *reason);

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
