/* What verifier*.c share, and nobody else. */
#pragma once

#include "base/helper.h"
#include "base/reason.h"
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
} LoadStep;

typedef struct VerifierProcess {
    HelperProcess helper;
    LoadStep step;
    CrlFiles crls;    /* what it is handed, but for those with a flaw */
    size_t next_crl;  /* in `crls`: the next that is looked at */
    CrlFile *reading; /* the one that it was handed last; NULL: that was none of these */
    size_t n_handed;
    CrlFile *handed[CRL_COPIES_MAX]; /* by their numbers in its answers; borrowed from `crls` */
    sd_event_source *io, *deadline;
    FrameType awaited; /* the answer that is due; 0: none */
    bool has_judged;
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
    CrlsInForce *crls;   /* borrowed, from verifier_attach() on */
    Reason read_problem; /* of what `next` is handed */
    VerifierReady ready; /* of verifier_when_ready() */
    void *ready_userdata;
    bool has_waited;          /* ready() is called: verifier_take() is not to wait */
    VerifierProcess *current; /* judges */
    VerifierProcess *next;    /* reads what it is handed, to take over */
    bool is_resting;          /* `current` was ended for want of work */
    Verification *waiting;    /* the first is asked when `current` has an answer due */
    size_t n_waiting;
    VerifyAnswer answer;
    uint8_t frame[FRAME_SIZE_MAX];
};

/* Says why a process gave no good answer; VERIFIER_E_FAILED. */
int verifier_process_failed(const Verifier *verifier, int r, Reason *reason);

/* 0, -ENOMEM, or VERIFIER_E_FAILED or VERIFIER_E_NO_PROGRAM with `reason`. */
int verifier_process_start(const Verifier *verifier, VerifierProcess **ret, Reason *reason);

/* Ends the process; NULL is fine. */
void verifier_process_free(VerifierProcess *process);
DEFINE_POINTER_CLEANUP(VerifierProcess, verifier_process_free);

/* Receives the answer that is due, into verifier->answer. 0; -EPIPE if the process has ended,
 * -EBADMSG if it is no answer to what was asked, or another -errno. */
int verifier_answer_receive(Verifier *verifier, VerifierProcess *process);

/* What the answer in verifier->answer says of the request: 0, or -errno with its reason. */
int verifier_answer_error(const Verifier *verifier, Reason *reason);

/* Hands over what comes next by process->step. 0 or -errno. */
int verifier_load_step(Verifier *verifier, VerifierProcess *process);

/* Tells all who wait now that nobody judges them (verifier_loop.c). */
void verifier_waiting_fail(Verifier *verifier, const char *reason);

/* What comes of a process's answers and deadlines (verifier_loop.c). */
int verifier_on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata);
int verifier_on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

/* Has the loop listen to the process; its deadline is off. 0 or -errno. */
int verifier_process_watch(Verifier *verifier, VerifierProcess *process, sd_event *event,
                           sd_event_io_handler_t on_answer, sd_event_time_handler_t on_deadline);

/* Ends what a process does after so long. 0 or -errno. */
int verifier_deadline_set(const VerifierProcess *process, uint64_t milliseconds);

/* The CRLs that are to be in force, and what of them can't be read (verifier_next.c). `again`:
 * those that have not changed are read, too. 0 or -ENOMEM; *ret is for crl_files_deinit(). */
int verifier_crls_look(const Verifier *verifier, bool again, CrlFiles *ret, Reason *problem);

/* Says what is wrong with `files`, beside `problem`, which they could not be read for. */
void verifier_problem_tell(Verifier *verifier, const CrlFiles *files, const Reason *problem);

/* Has verifier->next go on from where it is, to be handed these CRLs; or starts it before; or looks
 * at the CRLs before that. Where that fails, there is no `next` then, and it has been told. */
void verifier_next_begin(Verifier *verifier, const CrlFiles *files, const Reason *problem);
void verifier_next_start_with(Verifier *verifier, const CrlFiles *files, const Reason *problem);
void verifier_next_start(Verifier *verifier);

/* `next` has answered what it was handed last (0), or has not (-errno): hands over more, has it
 * take over, or ends it. */
void verifier_next_received(Verifier *verifier, int r);
