/* The plan of a connection: one function from facts to a state and an action. */
#include "ikeclient/plan.h"

static ConnectionState derive_state(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    if (!facts->wanted) {
        return facts->up || facts->attempt || facts->leaving ? CONNECTION_CLOSING : CONNECTION_IDLE;
    }
    if (facts->attempt || plan->begin)
        return CONNECTION_CONNECTING;
    if (facts->up)
        return facts->child ? CONNECTION_ESTABLISHED : CONNECTION_ESTABLISHED_NO_CHILD;
    if (plan->wait)
        return CONNECTION_WAITING;
    return facts->leaving ? CONNECTION_CLOSING : CONNECTION_IDLE;
}

ConnectionPlan connection_plan(const ConnectionFacts *facts)
{
    bool complete = facts->up && facts->child && !facts->renewal;
    bool late = facts->up && facts->renewal; /* which is no failure that is not to be repeated */
    bool due =
        facts->wanted && !facts->attempt && (facts->asked || late || (facts->repeat && !complete));
    ConnectionPlan plan = {.begin = due && (facts->asked || facts->ready)};

    plan.wait = due && !plan.begin;
    plan.state = derive_state(facts, &plan);
    plan.close = plan.state == CONNECTION_CLOSING;
    return plan;
}

const char *connection_state_name(ConnectionState state)
{
    static const char *const names[CONNECTION_STATES] = {
        [CONNECTION_IDLE] = "idle",
        [CONNECTION_CONNECTING] = "connecting",
        [CONNECTION_ESTABLISHED] = "established",
        [CONNECTION_ESTABLISHED_NO_CHILD] = "established-no-child",
        [CONNECTION_WAITING] = "waiting",
        [CONNECTION_CLOSING] = "closing",
    };

    return names[state];
}
