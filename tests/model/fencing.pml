/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fencing.pml - two archivers that both believe they own an archive, and the store between them.
 *
 * Goal: whatever is delayed, lost, retried or killed,
 *   (a) at each TXID at most one segment is ever accepted, also after retention has deleted it,
 *   (b) each segment stands on exactly the one before it, and epochs never fall along the chain,
 *   (c) what was acknowledged is in the chain and stays there,
 *   (d) an archiver is fenced only if another has really taken over, so that its own crash never
 *       locks the rightful one out, and nobody waits for ever.
 * Method: the store is strongly consistent and knows create-if-absent and replace-if-match. Each
 * request, each look and each write of local state is a step of its own, with time passing between.
 *
 * A segment is a number: 4 * epoch + variant. The variant tells apart what one archiver encodes
 * before and after a crash. An age is counted in ticks, up to where more of it makes no difference,
 * so that time itself has no bound.
 *
 * Switches: README.md, "Variants".
 */
#ifndef TXIDS
#define TXIDS 3 /* in a run, at most 3 */
#endif
#ifndef CRASHES
#define CRASHES 1 /* in a run */
#endif
#ifndef MORTAL
#define MORTAL 0 /* the archiver that they hit */
#endif
#ifndef RETENTION
#define RETENTION 3 /* ticks that a level-0 segment lives at least */
#endif
#define PAUSE 1    /* a proof of the head older than this must be renewed: half of RETENTION */
#ifndef DEADLINE
#define DEADLINE 1 /* from the look at the clock to the last tick in which a request takes effect */
#endif
#define AGE_MAX (PAUSE + 1)
#define EPOCHS (2 + CRASHES)

#define EPOCH(segment) ((segment) / 4)

/* ---- The store ---- */

byte level0[4]; /* the level-0 object at this TXID, 0 if there is none (any more) */
byte age[4];    /* its age, up to RETENTION */
byte chain[4];  /* what was accepted here first, now in level 0 or in a compacted level */
byte owner;     /* the epoch in the owner object; its etag as well */

/* A request that was given up as uncertain and may still arrive; one at a time. */
byte lateKind; /* 0 none, 1 segment, 2 owner */
byte lateTxid; /* of a segment; or the etag to match */
byte lateSegment;
byte latePrevious;
byte lateAge;

/* ---- The archivers' memory that time acts on ---- */

byte proved[2];      /* age of the last proof that nothing stands above the head */
byte provedSaved[2]; /* the same in local state, saved with the head */
byte stamp[2];       /* age of the look at the clock on which the request in hand rests */

byte crashes;

/* Create-if-absent of a segment that was computed from `previous`. */
inline put_segment(n, segment, previous, ok)
{
    if
    :: level0[n] != 0 -> ok = false
    :: else ->
        assert(chain[n] == 0);                         /* (a) */
        assert(chain[n - 1] == previous);              /* (b) */
        assert(EPOCH(segment) >= EPOCH(chain[n - 1])); /* (b) */
        level0[n] = segment; age[n] = 0; chain[n] = segment;
        ok = true
    fi
}

#ifdef NO_DEADLINE
#define IN_TIME(a) true
#else
#define IN_TIME(a) ((a) <= DEADLINE)
#endif

#ifdef NO_REREAD
#define PROOF_IS_FRESH true
#else
#define PROOF_IS_FRESH (proved[me] <= PAUSE)
#endif

/* On a conflict: is this object our own past, to be adopted, or somebody newer? */
#if defined(NO_EPOCH_FOREIGN)
#define OUR_PAST(segment) (segment == 4 * epoch + variant)
#elif defined(NO_EPOCH_ADOPT)
#define OUR_PAST(segment) true
#else
#define OUR_PAST(segment) (EPOCH(segment) <= epoch)
#endif

/* ---- The archiver ---- */

/*
 * Where it may be killed: after an answer and before the state is written, and between captures.
 * A kill anywhere else leaves the store and the local state as one of these two does.
 */
#define MAY_DIE (crashes < CRASHES && me == MORTAL)

proctype Archiver(byte me)
{
    byte epoch;               /* local state, 0: there is none */
    byte savedHead, savedTop; /* local state: TXID of the head, and its segment */
    bool saved;               /* local state, the epoch among it, has been written */
    byte head, top;           /* in memory */
    byte seen;                /* an answer of the store */
    bool ok;
    byte variant = 1;         /* of what is encoded now; more after a crash */

    owner != 0 || me == 0; /* whoever is the first is called 0 */
start:
    skip; /* no jump may lead into a d_step */
    d_step {
        head = savedHead; top = savedTop; seen = owner;
#ifndef PROOF_APART
        proved[me] = provedSaved[me];
#endif
        savedHead = (MAY_DIE -> savedHead : 0); savedTop = (MAY_DIE -> savedTop : 0);
        provedSaved[me] = (MAY_DIE -> provedSaved[me] : AGE_MAX)
    }
    if
    :: epoch != 0 && seen != epoch -> goto fenced
    :: epoch != 0 && seen == epoch -> goto next
    :: epoch == 0
    fi;

    /* Take over: raise the epoch, on condition that the owner is still the one that was read. */
    if
    :: seen >= EPOCHS -> goto stop
        /* answered, or uncertain and then seen by a look */
    :: d_step { seen < EPOCHS && owner == seen -> owner++; ok = true }
        /* lost, or somebody else was faster */
    :: seen < EPOCHS
        /* still under way */
    :: d_step { seen < EPOCHS && lateKind == 0 -> lateKind = 2; lateTxid = seen }
    fi;
    if
    :: !ok -> goto start
    :: ok -> epoch = seen + 1
    fi;
    goto list;

reread:
    seen = owner;
    if
    :: seen != epoch -> goto fenced
    :: else
    fi;
#ifdef REREAD_OWNER_ONLY
    d_step { seen = 0; proved[me] = 0 }
    goto save;
#endif

list: /* All levels; the header of the newest segment tells its epoch. */
    skip;
    d_step {
        seen = 0;
        head = 0;
        do
        :: head < TXIDS && chain[head + 1] != 0 -> head++
        :: else -> break
        od;
        top = chain[head];
        proved[me] = 0
    }
#ifndef LIST_WITHOUT_EPOCH
    if
    :: EPOCH(top) > epoch -> goto fenced
    :: else
    fi;
#endif

save:
    if
    :: d_step { true -> /* One write. What no crash will ask for is kept at 0. */
            saved = MAY_DIE;
            savedHead = (MAY_DIE -> head : 0); savedTop = (MAY_DIE -> top : 0);
            provedSaved[me] = (MAY_DIE -> proved[me] : AGE_MAX);
            seen = 0; ok = false; stamp[me] = AGE_MAX
        }
    :: MAY_DIE -> goto crash
    fi;

next:
    if
    :: head == TXIDS -> goto stop
    :: MAY_DIE -> goto crash
    :: d_step { head < TXIDS && PROOF_IS_FRESH -> stamp[me] = 0 }
    :: head < TXIDS && !PROOF_IS_FRESH -> goto reread
    fi;

    /* The put: answered; or uncertain, and then done, not done, or still under way. */
    if
    :: d_step { IN_TIME(stamp[me]) -> put_segment(head + 1, 4 * epoch + variant, top, ok) }
        if
        :: ok -> goto done
        :: !ok -> goto look
        fi
    :: d_step { IN_TIME(stamp[me]) ->
            put_segment(head + 1, 4 * epoch + variant, top, ok);
            ok = false
        }
    :: d_step { IN_TIME(stamp[me]) && lateKind == 0 ->
            lateKind = 1; lateTxid = head + 1; lateSegment = 4 * epoch + variant;
            latePrevious = top; lateAge = stamp[me]
        }
    :: true /* refused as too old, or lost on the way */
    fi;

look:
    seen = level0[head + 1];
    if
    :: seen == 0 -> goto next /* not there: not yet, or not any more */
    :: seen != 0 && OUR_PAST(seen) -> /* this attempt, or one before it, or an earlier owner */
        d_step {
            head++;
            top = seen;
            assert(chain[head] == top); /* (c) */
#ifdef REACH_ADOPT
            assert(top == 4 * epoch + variant);
#endif
#ifdef REFRESH_ON_LOOK
            proved[me] = stamp[me]
#endif
        }
        goto save
    :: seen != 0 && !OUR_PAST(seen) -> goto fenced
    fi;

done: /* Acknowledged. The key was free when the request was made, so nothing stood above it. */
    skip;
    d_step {
        head++;
        top = 4 * epoch + variant;
        assert(chain[head] == top); /* (c) */
#ifdef REPLY_TIME
        proved[me] = 0
#else
        proved[me] = stamp[me]
#endif
    }
    goto save;

crash: /* Memory is lost; local state is lost with it or not. */
    skip;
    d_step { crashes++; variant++; seen = 0; ok = false; head = 0; top = 0; stamp[me] = AGE_MAX }
    if
    :: saved
    :: d_step { true ->
            epoch = 0; savedHead = 0; savedTop = 0; provedSaved[me] = AGE_MAX; saved = false }
    fi;
    goto start;

fenced:
    assert(owner > epoch); /* (d) */
#ifdef REACH_FENCED
    assert(false);
#endif
stop:
    skip;
    d_step { /* so that all ends look alike */
        epoch = 0; savedHead = 0; savedTop = 0; saved = false; provedSaved[me] = AGE_MAX;
        head = 0; top = 0; proved[me] = AGE_MAX; stamp[me] = AGE_MAX;
        seen = 0; ok = false; variant = 0
    }
}

/* ---- The rest of the world ---- */

inline forget_late()
{
    lateKind = 0; lateTxid = 0; lateSegment = 0; latePrevious = 0; lateAge = 0
}

/* A late request arrives after all, or never will. An owner's may at any time: its etag decides. */
inline late_request()
{
    if
    :: lateKind == 1 && IN_TIME(lateAge) ->
        put_segment(lateTxid, lateSegment, latePrevious, ok)
#ifdef REACH_LATE
        ; assert(!ok)
#endif
    :: lateKind == 2 && owner == lateTxid -> owner++
    :: else
    fi;
    forget_late();
    ok = false
}

inline grow(a, max)
{
    if
    :: a < max -> a++
    :: else
    fi
}

inline grow_object(n)
{
    if
    :: level0[n] != 0 -> grow(age[n], RETENTION)
    :: else
    fi
}

inline grow_late()
{
    if
    :: lateKind == 1 -> grow(lateAge, DEADLINE + 1)
    :: else
    fi
}

#define EXPIRED(n) (level0[n] != 0 && age[n] == RETENTION)

proctype World()
{
    bool ok;

end:
    do
    :: d_step { lateKind != 0 -> late_request() }
    :: d_step { lateKind != 0 -> forget_late() }
    :: d_step { true -> /* a tick */
            grow(proved[0], AGE_MAX); grow(proved[1], AGE_MAX);
            grow(provedSaved[0], AGE_MAX); grow(provedSaved[1], AGE_MAX);
            grow(stamp[0], AGE_MAX); grow(stamp[1], AGE_MAX);
            grow_object(1); grow_object(2); grow_object(3);
            grow_late()
        }
        /* Compacted long ago; retention deletes level 0 in any order. */
    :: d_step { EXPIRED(1) -> level0[1] = 0; age[1] = 0 }
    :: d_step { EXPIRED(2) -> level0[2] = 0; age[2] = 0 }
    :: d_step { EXPIRED(3) -> level0[3] = 0; age[3] = 0 }
    od
}

init
{
    atomic {
        stamp[0] = AGE_MAX; stamp[1] = AGE_MAX; proved[0] = AGE_MAX; proved[1] = AGE_MAX;
        provedSaved[0] = AGE_MAX; provedSaved[1] = AGE_MAX;
        run Archiver(0); run Archiver(1); run World()
    }
}
