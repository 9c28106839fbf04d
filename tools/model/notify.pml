/* How the two sides of a virtqueue wake each other: the device as SplitQueue, PackedQueue and
 * WorkerLoop do it, the driver as VhostUserFrontend does it. tools/model/check runs this.
 *
 * What a side stores goes through a buffer of its own and is seen by the other some time later,
 * unless a fence has emptied the buffer: x86's order, and with -DRELAXED the stores to different
 * words pass each other too. What is in the ring besides (descriptors, ids) is left out: publishing
 * releases it, looking acquires it.
 *
 * A position is a free-running index modulo CIRCLE. The packed ring has no index: it shows a
 * position by a descriptor's two bits, and CIRCLE is twice its size, one round for each wrap
 * counter. Every chain has one descriptor.
 *
 * Kicks are drained some time after they wake the device: before it looks for the last time.
 *
 * Forms: -DEVENT notifies by event indices, else by flags; -DPACKED takes the packed ring.
 * What must never be: both sides asleep with a chain out (an invalid end state), and a second
 * notification that the receiver's present wish does not ask for (an assertion).
 */
#ifndef SIZE
#define SIZE 2
#endif
#ifndef CIRCLE
#define CIRCLE (2 * SIZE)
#endif

/* The protocol's steps; a mutant goes without one of them. */
#ifdef NO_FENCE_IN_REQUEST_KICKS
#define FENCE_IN_REQUEST_KICKS skip
#else
#define FENCE_IN_REQUEST_KICKS fence(DEVICE)
#endif
#ifdef NO_FENCE_IN_DEVICE_PUBLISH
#define FENCE_IN_DEVICE_PUBLISH skip
#else
#define FENCE_IN_DEVICE_PUBLISH fence(DEVICE)
#endif
#ifdef NO_FENCE_IN_DRIVER_PUBLISH
#define FENCE_IN_DRIVER_PUBLISH skip
#else
#define FENCE_IN_DRIVER_PUBLISH fence(DRIVER)
#endif
#ifdef NO_FENCE_IN_ARM_CALL
#define FENCE_IN_ARM_CALL skip
#else
#define FENCE_IN_ARM_CALL fence(DRIVER)
#endif
/* Added to the event that the device, or the driver, asks for. */
#ifndef KICK_EVENT_OFF
#define KICK_EVENT_OFF 0
#endif
#ifndef CALL_EVENT_OFF
#define CALL_EVENT_OFF 0
#endif

/* Shared words, and who stores them: the device its index, flag and event, the driver its own. The
 * packed ring's descriptors, stored by both in turn, come after. */
#define DEVICE 0
#define DRIVER 1
#define INDEX(side) (side)
#define FLAG(side) (2 + (side))
#define EVENT_OF(side) (4 + (side))
#define DESCRIPTOR(slot) (6 + (slot))
#define WORDS (6 + SIZE)
byte memory[WORDS];

/* Values of a flag: notifications wanted or not; the packed ring adds those at an event. */
#define WANTED 0
#define UNWANTED 1
#define AT_EVENT 2

/* Stores on their way: one queue for a side, or where order is relaxed one for each kind of word. */
#ifdef RELAXED
#define LANES 4
#define LANE(word) ((word) < 6 -> (word) / 2 : 3)
#else
#define LANES 1
#define LANE(word) 0
#endif
#define DEPTH (SIZE + 2)
#define BUFFER(side, lane) buffers[(side) * LANES + (lane)]
chan buffers[2 * LANES] = [DEPTH] of { byte, byte };

/* The eventfds: whether they are readable. [DEVICE] is the kick, [DRIVER] the call. */
bool signalled[2];
/* Notifications that nobody asks for, since the receiver's wish was last seen to change. */
byte unasked[2];

inline store(side, word, value) { BUFFER(side, LANE(word)) ! word, value }

inline fence(side) {
    empty(BUFFER(side, 0));
#ifdef RELAXED
    empty(BUFFER(side, 1)) && empty(BUFFER(side, 2)) && empty(BUFFER(side, 3));
#endif
}

/* Lets one buffer's stores through, in their order, whenever it likes. */
proctype Drain(byte lane) {
    byte word, value;
end:
    do
    :: atomic {
        buffers[lane] ? word, value ->
        memory[word] = value;
        if
        :: word >= 2 && word < 6 -> unasked[word % 2] = 0
        :: else
        fi;
        word = 0; value = 0
    }
    od
}

/* Positions. */
#define AHEAD(from, to) (((to) + CIRCLE - (from)) % CIRCLE)
#define STEP(position, count) (((position) + (count)) % CIRCLE)
/* virtio 1.3 2.7.10.1, the check by which both sides decide. */
#define IS_CROSSED(event, old, new) (AHEAD(STEP(event, 1), new) < AHEAD(old, new))

/* A descriptor's two bits, available and used, as a side writes them at a position: both say its
 * round's wrap counter where it is used, they differ where it is available. */
#define WRAP(position) (1 - (position) / SIZE)
#define BITS(side, position) (2 * WRAP(position) + (WRAP(position) ^ (side)))

/* Whether the receiver's wish, as memory has it, asks for a notification of (old, new]. */
#ifdef PACKED
#define ASKS(receiver, old, new) \
    (memory[FLAG(receiver)] == WANTED || \
        (memory[FLAG(receiver)] == AT_EVENT && IS_CROSSED(memory[EVENT_OF(receiver)], old, new)))
#else
#ifdef EVENT
#define ASKS(receiver, old, new) IS_CROSSED(memory[EVENT_OF(receiver)], old, new)
#else
#define ASKS(receiver, old, new) (memory[FLAG(receiver)] == WANTED)
#endif
#endif

/* Asks the other side for a notification at `event`, or for none. */
inline wish(side, event) {
#ifdef EVENT
    store(side, EVENT_OF(side), event);
#ifdef PACKED
    store(side, FLAG(side), AT_EVENT);
#endif
#else
    store(side, FLAG(side), WANTED);
#endif
}

inline suppress(side) {
#ifdef PACKED
    store(side, FLAG(side), UNWANTED)
#else
#ifndef EVENT
    store(side, FLAG(side), UNWANTED)
#else
    skip  /* An event that was passed asks for nothing. */
#endif
#endif
}

/* Shows the other side everything from `old` up to `new`. */
inline publish(side, old, new, place) {
#ifdef PACKED
    /* The first one last: whoever sees it may go on to the others. */
    place = new;
    do
    :: place != old ->
        place = STEP(place, CIRCLE - 1);
        store(side, DESCRIPTOR(place % SIZE), BITS(side, place))
    :: else -> break
    od;
    place = 0
#else
    store(side, INDEX(side), new)
#endif
}

/* Tells the receiver of (old, new], if it wants that. */
inline notify(receiver, old, new, always) {
    if
    :: always || ASKS(receiver, old, new) ->
        atomic {
            signalled[receiver] = true;
            if
            :: ASKS(receiver, old, new)
            :: else ->
                /* The wish may have changed since it was read; not twice. */
                unasked[receiver]++;
                assert(unasked[receiver] <= 1)
            fi
        }
    :: else
    fi
}

/* Whether there is something at `position`: for the device a chain, for the driver one used. */
#ifdef PACKED
#define HAS_AVAILABLE(position) (memory[DESCRIPTOR((position) % SIZE)] == BITS(DRIVER, position))
#define HAS_USED(position) (memory[DESCRIPTOR((position) % SIZE)] == BITS(DEVICE, position))
#define IS_USED_PAST(position, count) HAS_USED(STEP(position, count))
#else
#define HAS_AVAILABLE(position) (memory[INDEX(DRIVER)] != (position))
#define HAS_USED(position) (memory[INDEX(DEVICE)] != (position))
#define IS_USED_PAST(position, count) (AHEAD(position, memory[INDEX(DEVICE)]) > (count))
#endif

/* WorkerLoop.run: completions, RunningQueue.breathe, and sleep. */
active proctype Device() {
    byte next, done, shown, place;  /* positions: taken, completed, and shown to the driver */
#ifndef PACKED
    byte seen;
#endif
    bool worked;
    do
    :: worked = false;
        /* The kick's completion may be there by now, or come in the next turn. */
        if
        :: signalled[DEVICE] -> signalled[DEVICE] = false
        :: skip
        fi;
        /* Some of what is in flight is done, in whatever order. */
        do
        :: done != next -> done = STEP(done, 1); worked = true
        :: break
        od;
        /* SplitQueue.next, as often as there is one and the breath lasts. */
        do
#ifdef PACKED
        :: HAS_AVAILABLE(next) ->
#else
        :: seen == next && HAS_AVAILABLE(next) -> seen = memory[INDEX(DRIVER)]
        :: seen != next ->
#endif
            next = STEP(next, 1);
            worked = true
        :: worked -> break
#ifdef PACKED
        :: !HAS_AVAILABLE(next) -> break
#else
        :: seen == next && !HAS_AVAILABLE(next) -> break
#endif
        od;
        /* SplitQueue.publish, and the call. */
        if
        :: done != shown ->
            publish(DEVICE, shown, done, place);
            FENCE_IN_DEVICE_PUBLISH;
#ifdef ALWAYS_CALL
            notify(DRIVER, shown, done, true);
#else
            notify(DRIVER, shown, done, false);
#endif
            shown = done
        :: else
        fi;
        if
        :: worked  /* the next breath */
        :: !worked  /* --poll-us */
        :: !worked ->
            /* SplitQueue.requestKicks; true where there is work already. */
            wish(DEVICE, STEP(next, KICK_EVENT_OFF));
            FENCE_IN_REQUEST_KICKS;
            if
#ifndef NO_LOOK_AFTER_REQUEST
            :: HAS_AVAILABLE(next)
#endif
#ifdef NO_LOOK_AFTER_REQUEST
            :: true ->
#else
            :: else ->
#endif
#ifdef DRAIN_BEFORE_SLEEP
                signalled[DEVICE] = false;
#endif
                /* submitAndWait: a kick, or something in flight is done. */
end:
                signalled[DEVICE] || done != next
            fi;
            suppress(DEVICE)
        fi
    od
}

/* DriverQueue: submit, reap, armCall. It stops for good when nothing is out, and only then. */
active proctype Driver() {
    byte offered, reaped, old, place, ahead;
    do
    :: AHEAD(reaped, offered) < SIZE ->
        old = offered;
        offered = STEP(offered, 1);
        do
        :: AHEAD(reaped, offered) < SIZE -> offered = STEP(offered, 1)
        :: break
        od;
        publish(DRIVER, old, offered, place);
        FENCE_IN_DRIVER_PUBLISH;
#ifdef ALWAYS_KICK
        notify(DEVICE, old, offered, true);
#else
        notify(DEVICE, old, offered, false);
#endif
        old = 0
    :: offered != reaped && HAS_USED(reaped) -> reaped = STEP(reaped, 1)
    :: offered != reaped ->
        /* A call when one more is used, or with events not before several are. */
#ifdef EVENT
        do
        :: ahead + 1 < AHEAD(reaped, offered) -> ahead++
        :: break
        od;
#endif
        wish(DRIVER, STEP(reaped, ahead + CALL_EVENT_OFF));
        FENCE_IN_ARM_CALL;
        if
#ifndef NO_LOOK_AFTER_ARM
        :: IS_USED_PAST(reaped, ahead)
#endif
#ifdef NO_LOOK_AFTER_ARM
        :: true ->
#else
        :: else ->
#endif
            signalled[DRIVER];
            signalled[DRIVER] = false
        fi;
        ahead = 0;
        suppress(DRIVER)
    :: offered == reaped -> break
    od
}

init {
    byte lane;
    atomic {
        do
        :: lane < 2 * LANES -> run Drain(lane); lane++
        :: else -> break
        od
    }
}
