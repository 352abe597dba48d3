/* What verifier*.c share, and nobody else. */
#pragma once

#include "base/helper.h"
#include "base/reason.h"
#include "tred/crl_files.h"
#include "tred/verifier.h"

/* Octets that every process of a verifier is handed, in memory that nobody changes. */
typedef struct Handed {
    char name[FRAME_NAME_SIZE];
    int fd; /* -1: none */
} Handed;

/* What is handed over next, or what is answered; the CRLs follow one by one. */
typedef enum LoadStep {
    LOAD_PROFILE,
    LOAD_ANCHORS,
    LOAD_CRLS,
    LOAD_COMPLETE,
    LOADED,
} LoadStep;

typedef struct VerifierProcess {
    HelperProcess helper;
    LoadStep step;
    CrlFiles crls;
    size_t n_crls; /* handed over */
    sd_event_source *io, *deadline;
    FrameType awaited; /* the answer that is due; 0: none */
    bool has_judged;
    bool is_without_crls; /* takes the place of one that had none: those that are there now can't be
                             read */
} VerifierProcess;

struct Verification {
    Verification *next;
    VerificationCallback callback; /* NULL: cancelled while it was asked */
    void *userdata;
    size_t size;
    uint8_t frame[];
};

struct Verifier {
    unsigned n_references;
    VerifierOptions options;
    sd_event *event;       /* from verifier_attach() on */
    sd_event_source *soon; /* has the loop look at who waits */
    sd_event_source *rest; /* ends `current` when nobody has wanted it for a while */
    Handed profile, anchors;
    AnchorFacts facts;
    VerifierProcess *current; /* judges */
    VerifierProcess *next;    /* reads what it is handed, to take over */
    uint64_t refused_mark;    /* of CRLs that could not be read, while `current` goes on without */
    bool has_refused;
    bool is_resting; /* `current` was ended for want of work: profile and anchors alone were in
                        force */
    Verification *waiting; /* the first is asked when `current` has an answer due */
    size_t n_waiting;
    VerifyAnswer answer;
    uint8_t frame[FRAME_SIZE_MAX];
};

/* Says why a process gave no good answer; VERIFIER_E_FAILED. */
int verifier_process_failed(const Verifier *verifier, int r, Reason *reason);

/* 0, -ENOMEM, or VERIFIER_E_FAILED with `reason`. */
int verifier_process_start(const Verifier *verifier, VerifierProcess **ret, Reason *reason);

/* Ends the process; NULL is fine. */
void verifier_process_free(VerifierProcess *process);
DEFINE_POINTER_CLEANUP(VerifierProcess, verifier_process_free);

/* A request of that type about a file of that name, which fits. */
VerifyRequest verifier_request_of(FrameType type, const char *name);

/* Sends a request, whose answer is due then. 0 or -errno. */
int verifier_request_send(Verifier *verifier, VerifierProcess *process,
                          const VerifyRequest *request, int fd);

/* Receives the answer that is due, into verifier->answer. 0; -EPIPE if the process has ended,
 * -EBADMSG if it is no answer to what was asked, or another -errno. */
int verifier_answer_receive(Verifier *verifier, VerifierProcess *process);

/* What the answer in verifier->answer says of the request: 0, or -errno with its reason. */
int verifier_answer_error(const Verifier *verifier, Reason *reason);

/* Octets as a file of their own, in memory that nobody changes any more. 0 or -errno. */
int verifier_handed_init(Bytes octets, const char *name, Handed *ret);
void verifier_handed_deinit(Handed *handed);

/* Hands over what comes next by process->step. 0, or -errno with or without `reason`. */
int verifier_load_step(Verifier *verifier, VerifierProcess *process, Reason *reason);

/* ---- verifier_next.c: `next` */

/* Starts one. */
void verifier_next_start(Verifier *verifier);

/* Lists the CRLs, and goes on from where the process is. */
void verifier_next_begin(Verifier *verifier);

/* It has answered what it was handed last. */
void verifier_next_answered(Verifier *verifier);

/* It is not to judge: what was in force stays, or nobody is judged. */
void verifier_next_fail(Verifier *verifier, const char *reason);

/* ---- verifier_loop.c */

/* Has the loop wait for a process's answers. 0 or -errno. */
int verifier_process_watch(Verifier *verifier, VerifierProcess *process);

/* Gives the answer that is due so long. 0 or -errno. */
int verifier_deadline_set(const VerifierProcess *process, uint64_t milliseconds);

/* Tells all who wait that there is no verdict. */
void verifier_waiting_fail(Verifier *verifier, const char *reason);
