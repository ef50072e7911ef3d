/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.pml - SQLite's WAL, the applications on it, and the archiver that follows it.
 *
 * Goal: whatever the order of the steps,
 *   (a) while we are attached no committed change is lost from the live database,
 *   (b) the archive holds the committed sequence: no frame is overwritten before it is captured,
 *       and only an attach that cannot prove continuity writes a catch-up,
 *   (c) a frame that was never committed is never archived,
 *   (d) nobody waits for ever: no state without a successor but the intended ends,
 *   (e) a round that says "all is captured" is right.
 * Method: each access to shared memory, to a lock or to a file is a step of its own, except where
 * README.md argues that joining two loses nothing. Names are those of SQLite's wal.c.
 *
 * Commits are numbered from 1. A commit is one frame of one of two pages; the content of a page, of
 * a frame and of the database file is the number of the commit that wrote it (0: as created).
 * Salts are compared only for equality, so bits that a restart clears stand for them, and the
 * number of restarts has no bound.
 *
 * Switches: README.md, "Variants".
 */
#ifndef COMMITS
#define COMMITS 4 /* in a run, at most 4; so also the longest WAL */
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef CRASHES
#define CRASHES 1 /* of the archiver, in a run */
#endif
#ifndef PAGES
#define PAGES 10 /* bit c is the page that commit c writes; 10 = 01010b takes turns */
#endif

#define NONE 3   /* no read lock */
#define UNUSED 9 /* READMARK_NOT_USED: above every frame */
#define PAGE(c) (((PAGES) >> (c)) & 1)

/* ---- The database: wal-index, WAL, file, locks ---- */

byte mxFrame; /* header: the last committed frame */
byte nBackfill;
byte mark[3]; /* aReadMark[]; slot 0 is not used */
byte idx[5];  /* hash tables: 1 + page of frame f, 0 without an entry */
byte wal[5];  /* frame f in the file */
byte db[2];   /* the database file */

byte rd[3];     /* shared holders of READ0..2 */
bool read0Excl; /* a checkpointer holds READ0 exclusive */
bool marksExcl; /* a restart holds READ1..2 exclusive */
bool writeLock;
bool ckptLock;
bool locks;     /* the checkpointer holds WRITE too: FULL, RESTART or TRUNCATE */
#ifdef KILLED
bool torn; /* the header is copy 1, and copy 2 is ahead by a commit or a restart */
#define TORN torn
#define COPIES_EQUAL() torn = false
#else
#define TORN false
#define COPIES_EQUAL() skip
#endif

byte it[2]; /* the frames that a checkpointer has decided to copy, by page */

/* Whether the header that someone keeps still equals the live one. */
bool writerHdr[2];
bool archiverHdr;

/* Whether the WAL was restarted (new salts) since ... */
bool saltsH;        /* ... the archiver's last look at the header */
bool saltsCaptured; /* ... the header up to which it has captured */
#ifdef FIXED_SQLITE
bool saltsCkpt;     /* ... the checkpointer read the header */
#endif

/* ---- The observer ---- */

byte committed; /* commits so far */
bool attached;  /* protection is claimed */
bool over;      /* SQLite lost data while we were not attached: nothing more to show */

/* The newest frame of page p among lo..hi, found by the index as in sqlite3WalFindFrame. */
#define HIT(f, p, lo, hi) ((hi) >= f && (lo) <= f && idx[f] == (p) + 1)
#define FRAME_OF(p, lo, hi)                                                                        \
    (HIT(4, p, lo, hi) -> 4 : (HIT(3, p, lo, hi) -> 3 :                                            \
    (HIT(2, p, lo, hi) -> 2 : (HIT(1, p, lo, hi) -> 1 : 0))))

/* What a reader with this minFrame and mxFrame reads in page p. */
#define READS(p, lo, hi) (FRAME_OF(p, lo, hi) != 0 -> wal[FRAME_OF(p, lo, hi)] : db[p])

/* What it should read: the newest commit up to c that wrote p. */
#define WROTE(n, p, c) ((c) >= n && PAGE(n) == (p))
#define TRUTH(p, c)                                                                                \
    (WROTE(4, p, c) -> 4 : (WROTE(3, p, c) -> 3 :                                                  \
    (WROTE(2, p, c) -> 2 : (WROTE(1, p, c) -> 1 : 0))))

#define RIGHT(p) (READS(p, nBackfill + 1, mxFrame) == TRUTH(p, committed))

/* Property (a), in every step that changes what a reader finds who opens now. */
inline audit()
{
    if
    :: !RIGHT(0) || !RIGHT(1) -> assert(!attached); over = true
    :: else
    fi
}

inline header_changed(who)
{
    writerHdr[1 - who] = false;
    archiverHdr = false
}

inline unlock_read(lk)
{
    if
    :: lk != NONE -> rd[lk]--; lk = NONE
    :: else
    fi
}

/*
 * The marks of walTryBeginRead for a header with mxFrame = hm: the largest mark that does not
 * exceed it, or else one that is raised to it under its exclusive lock. slot is NONE if none is to
 * be had now.
 */
inline choose_mark(hm)
{
    slot = NONE;
    if
    :: mark[1] <= hm && (mark[2] > hm || mark[1] > mark[2]) -> slot = 1
    :: mark[2] <= hm && (mark[1] > hm || mark[1] <= mark[2]) -> slot = 2
    :: mark[1] > hm && mark[2] > hm
    fi;
    if
    :: marksExcl || (slot != NONE && mark[slot] == hm)
    :: else ->
        if
        :: rd[1] == 0 -> mark[1] = hm; slot = 1
        :: rd[1] != 0 && rd[2] == 0 -> mark[2] = hm; slot = 2
        :: else
        fi
    fi
}

/* walRestartHdr, READ1.. held exclusive: first the header, then the rest of the wal-index. */
inline restart_header()
{
    marksExcl = true;
    mxFrame = 0;
    COPIES_EQUAL();
    saltsH = true;
    saltsCaptured = true;
#ifdef FIXED_SQLITE
    saltsCkpt = true;
#endif
    audit()
}

inline restart_info()
{
    nBackfill = 0;
    mark[1] = 0;
    mark[2] = UNUSED;
    marksExcl = false;
    audit()
}

#ifdef KILLED
/*
 * walIndexRecover, by whoever begins to read and gets WRITE and CKPT: the log is what the file has.
 * So a frame behind mxFrame is committed now, and a restart has not been. Marks in use stay.
 */
#define MAY_RECOVER (torn && !writeLock && !ckptLock)
#define FRAME_FOLLOWS (mxFrame < COMMITS && wal[mxFrame + 1] == committed + 1)
inline recover()
{
    if
    :: FRAME_FOLLOWS -> mxFrame++; committed++
    :: else
    fi;
    torn = false;
    nBackfill = 0;
    mark[1] = (rd[1] == 0 -> mxFrame : mark[1]);
    mark[2] = (rd[2] == 0 -> UNUSED : mark[2]);
    writerHdr[0] = false;
    header_changed(0);
    audit()
}
#endif

/* ---- The application ---- */

/* walTryBeginRead of an application, in one step; lk is NONE if it has to retry. */
inline open_at_once(lk)
{
    if
    :: nBackfill == mxFrame && !read0Excl -> slot = 0
    :: else -> choose_mark(mxFrame)
    fi;
    lk = slot;
    if
    :: lk != NONE -> rd[lk]++
    :: else
    fi;
    slot = 0
}

/* A writer leaves lock 0 for a mark at its own header (walRestartLog's last part). */
inline move_to_mark(lk)
{
    choose_mark(mxFrame);
    if
    :: slot != NONE -> rd[lk]--; lk = slot; rd[lk]++
    :: else
    fi;
    slot = 0
}

/* A connection that reads, and may write one frame and commit it, or roll back, or be killed. */
proctype Writer(byte me)
{
    byte slot;
    byte lk = NONE;

end_idle:
    do
    :: over -> break
    :: d_step { lk == NONE && !over && committed < COMMITS && !marksExcl && !TORN ->
            open_at_once(lk);
            writerHdr[me] = (lk != NONE)
        }
#ifdef KILLED
    :: d_step { lk == NONE && !over && MAY_RECOVER -> recover() }
#endif
    :: d_step { lk != NONE -> unlock_read(lk); writerHdr[me] = false } /* it only read */

        /* It writes, if WRITE is free and its snapshot is the newest; else that is BUSY. On lock 0
         * it restarts the WAL, if nobody is on a mark; then, or else, it takes a mark. */
    :: d_step { lk == 0 && !writeLock && writerHdr[me] && nBackfill > 0 && rd[1] + rd[2] == 0 ->
            writeLock = true;
            restart_header();
            header_changed(me)
        }
        d_step { restart_info() }
        do
        :: d_step { !marksExcl -> move_to_mark(lk) }
            if
            :: lk == 0
            :: lk != 0 -> goto append
            fi
        od
#ifdef KILLED
        /* Killed while it restarts the WAL, between the copies of the header. */
    :: d_step { lk == 0 && !writeLock && writerHdr[me] && nBackfill > 0 && rd[1] + rd[2] == 0 ->
            torn = true; unlock_read(lk); writerHdr[me] = false
        }
#endif
    :: d_step { lk == 0 && !writeLock && writerHdr[me] && !marksExcl ->
            move_to_mark(lk);
            writeLock = (lk != 0)
        }
        if
        :: lk == 0
        :: lk != 0 -> goto append
        fi
    :: d_step { lk != 0 && lk != NONE && !writeLock && writerHdr[me] -> writeLock = true }
append:
        skip;
        d_step { /* The frame, then its entry; frame 1 empties the hash tables. */
            if
            :: mxFrame == 0 -> idx[1] = 0; idx[2] = 0; idx[3] = 0; idx[4] = 0
            :: else
            fi;
            if /* No one looks at frames with old salts, but a checkpointer that chose them. */
            :: mxFrame == 0 && it[0] == 0 && it[1] == 0 ->
                wal[2] = 0; wal[3] = 0; wal[4] = 0
            :: else
            fi;
            wal[mxFrame + 1] = committed + 1;
            idx[mxFrame + 1] = PAGE(committed + 1) + 1
        }
        if
#ifdef KILLED
        :: d_step { true -> torn = true } /* walIndexWriteHdr: copy 2 */
            if
            :: d_step { true -> /* copy 1 */
                    mxFrame++; committed++; torn = false; header_changed(me); audit();
                    writeLock = false; unlock_read(lk); writerHdr[me] = false
                }
            :: d_step { true -> /* killed */
                    writeLock = false; unlock_read(lk); writerHdr[me] = false
                }
            fi
#else
        :: d_step { true ->
                mxFrame++; committed++; header_changed(me); audit();
                writeLock = false; unlock_read(lk); writerHdr[me] = false
            }
#endif
        :: d_step { true -> /* killed, or rolled back: the frame stays in the file */
                writeLock = false; unlock_read(lk); writerHdr[me] = false
            }
        fi
    od
}

/*
 * A busy handler waits or gives up, as it likes; without one the first refusal counts. NO_TIMEOUT:
 * handlers never give up.
 */
#ifdef NO_TIMEOUT
bool waits; /* the checkpointer has a busy handler */
#define GIVES_UP (!waits)
#define HANDLER(b) waits = b
#else
#define GIVES_UP true
#define HANDLER(b) skip
#endif

/* One turn of walCheckpoint's loop over the marks. */
#define MARK_FREE(i) (rd[i] == 0 && !marksExcl)
#define MARK_LETS(i) (safe <= mark[i] || MARK_FREE(i) || GIVES_UP)
inline limit_by_mark(i)
{
    if
    :: safe <= mark[i]
    :: safe > mark[i] && MARK_FREE(i) -> mark[i] = (i == 1 -> safe : UNUSED)
    :: safe > mark[i] && !MARK_FREE(i) -> safe = mark[i]; HANDLER(false)
    fi
}

/* walIndexReadHdr */
inline read_header()
{
    hm = mxFrame;
#ifdef FIXED_SQLITE
    saltsCkpt = false
#endif
}

inline copy_pages()
{
    if
#ifdef FIXED_SQLITE
    :: saltsCkpt -> safe = 0
#endif
    :: else ->
        if
        :: it[0] > nb && it[0] <= safe -> db[0] = wal[it[0]]
        :: else
        fi;
        if
        :: it[1] > nb && it[1] <= safe -> db[1] = wal[it[1]]
        :: else
        fi
    fi;
    it[0] = 0; it[1] = 0; nb = 0
}

inline ckpt_done()
{
    if
    :: locks -> writeLock = false
    :: else
    fi;
    ckptLock = false; locks = false; HANDLER(false); hm = 0; safe = 0
}

/*
 * sqlite3WalCheckpoint, again and again. All of it lies under the checkpoint lock and nothing is
 * kept from one call to the next, so this one process is every checkpointing connection there is,
 * the archiver's third one included.
 */
proctype Checkpointer()
{
    byte hm, safe, nb;

    do
    :: true ->
end_idle:
        if
        :: over -> break
        :: d_step { !over && !ckptLock && !TORN -> ckptLock = true; read_header() }
        :: d_step { !over && !ckptLock && !writeLock && !TORN ->
                ckptLock = true; writeLock = true; locks = true; HANDLER(true); read_header()
            }
        fi;
        if
        :: nBackfill >= hm
        :: d_step { nBackfill < hm && (hm <= mark[1] || MARK_FREE(1) || GIVES_UP) ->
                safe = hm;
                limit_by_mark(1)
            }
            d_step { MARK_LETS(2) -> limit_by_mark(2) }
            d_step { /* walIteratorInit: decides by the index; the frames are read later. */
                if
                :: nBackfill < safe ->
                    it[0] = FRAME_OF(0, nBackfill + 1, hm);
                    it[1] = FRAME_OF(1, nBackfill + 1, hm)
                :: else -> safe = 0
                fi
            }
            if
            :: safe == 0
            :: safe != 0 ->
                if
                :: d_step { rd[0] != 0 && GIVES_UP -> safe = 0; it[0] = 0; it[1] = 0 }
                :: d_step { rd[0] == 0 -> read0Excl = true; nb = nBackfill }
                    if
                    :: d_step { true -> /* the whole of it */
                            copy_pages();
                            nBackfill = (safe != 0 -> safe : nBackfill);
                            read0Excl = false; audit()
                        }
                    :: d_step { true -> copy_pages(); read0Excl = false; audit() } /* killed */
                    fi
                fi
            fi
        fi;
        if
        :: d_step { locks && nBackfill >= hm && rd[1] + rd[2] == 0 ->
#ifdef REACH_TRUNCATE
                assert(!attached || mxFrame == 0);
#endif
                restart_header();
                writerHdr[0] = false;
                header_changed(0)
            }
            d_step {
                restart_info();
                wal[1] = 0; wal[2] = 0; wal[3] = 0; wal[4] = 0;
                ckpt_done()
            }
        :: d_step { !locks || nBackfill < hm || GIVES_UP -> ckpt_done() }
        fi
    od
}

/* ---- The archiver ---- */

#ifndef NO_ARCHIVER

byte arch;     /* the newest commit in the archive */
bool started;  /* the archive holds a first snapshot */
byte captured; /* local state: the frame up to which this WAL is archived */
bool drained;  /* local state: there captured = mxFrame = nBackfill held */
byte crashes;

/* PASSIVE on the third connection did not return BUSY: the checkpoint lock was free just then. */
#define BARRIER_DONE (!ckptLock)
#ifdef NO_ATTACH_BARRIER
#define MAY_ATTACH true
#else
#define MAY_ATTACH BARRIER_DONE
#endif
#ifdef NO_BARRIER
#define MAY_LEAVE true
#else
#define MAY_LEAVE (la != 0 || lb == 0 || BARRIER_DONE)
#endif

/*
 * ADR 0004: whoever holds CKPT holds WRITE as well, and so has read the header of this WAL. Seen
 * from outside that is: one process holds both and is on no mark, as a writer with frames would be.
 * The second term is an application whose connections share one process; ours is the one mark.
 */
#if defined(NO_LOOK)
#define HOLDS_BOTH false
#elif defined(LOOK_AT_EMPTY)
#define HOLDS_BOTH (locks || (ckptLock && writeLock && rd[1] + rd[2] == 1))
#else
#define HOLDS_BOTH (mxFrame != 0 && (locks || (ckptLock && writeLock && rd[1] + rd[2] == 1)))
#endif

/* Rounds that keep the mark (ADR 0034), and their rules, each of which a switch takes out. */
#ifdef KEEP_MARK
#ifdef KEEP_ON_ZERO
#define LOOKS_FIRST true
#else
#define LOOKS_FIRST (la != 0)
#endif
#ifdef KEEP_PAST_CHECKPOINT
#define AT_CHECKPOINT false
#else
#define AT_CHECKPOINT ckptLock
#endif
#ifdef KEEP_BY_FRAMES
#define OTHER_LOG false
#else
#define OTHER_LOG (saltsCaptured || mx < captured)
#endif
#ifdef KEEP_BY_ONE_COPY
#define COPIES_AGREE true
#else
#define COPIES_AGREE (!TORN && archiverHdr)
#endif
#ifdef KEEP_PAST_CUT
#define TO_CAPTURE false
#else
#define TO_CAPTURE (cut && mx != captured)
#endif
#ifdef UNCAPTURED_ON_ZERO
#define MAY_LEAVE_BEHIND (!cut)
#else
#define MAY_LEAVE_BEHIND (!cut && lb != 0)
#endif

/*
 * The look: CKPT is taken for a moment, shared, which is one step, as meanwhile it only refuses;
 * then the header is read, copy 1, nBackfill, copy 2. It is all that the round does if no segment
 * is to be made now, if lock 0 is not to be had, and if nobody was at a checkpoint.
 */
inline look()
{
    if
    :: AT_CHECKPOINT
    :: !AT_CHECKPOINT ->
        d_step { mx = mxFrame; bad = OTHER_LOG; archiverHdr = true }
        d_step { true -> fill = nBackfill }
        d_step {
            enough = COPIES_AGREE && !TO_CAPTURE && fill != mx;
            archiverHdr = false; fill = 0;
            if
            :: !enough -> mx = 0; bad = false
            :: else
            fi
        }
    fi
}

/* A look is not enough while nothing moves, or will not be once a segment is due. */
#define MORE_THAN_A_LOOK (AT_CHECKPOINT || mxFrame != captured || nBackfill == mxFrame || TORN)

/* (e): a round that says so, or may make a segment, has captured what a reader who opened before
 * it would have found, if only after a recovery. */
#ifdef KILLED
#define FOUND (committed + (torn && !writeLock && la != 0 && FRAME_FOLLOWS -> 1 : 0))
#else
#define FOUND committed
#endif
#define CLAIM() assert(!(captured == mx || cut) || arch >= must)
#define ROUND_ENDS() cut = false; must = 0; enough = false
#else
#define CLAIM() skip
#define ROUND_ENDS() skip
#endif

/* The kernel drops a killed archiver's locks; its memory is lost, its local state is not. */
#define MAY_DIE (crashes < CRASHES && !over)
inline forget()
{
    unlock_read(la); unlock_read(lb);
    attached = false; archiverHdr = false;
    hm = 0; slot = 0; mx = 0; low = 0; snap = 0; fill = 0; base = 0; bad = false; synced = false;
    ROUND_ENDS()
}
inline die()
{
    crashes++;
    forget()
}

/*
 * sqlite3WalBeginReadTransaction in its steps: header and nBackfill; choice of a mark; shared lock
 * with the check that nothing moved meanwhile. Afterwards lk is the lock held, mx the mxFrame of
 * the snapshot, low its minFrame, snap the commit that it shows.
 */
inline got_read(lk, which, attaching)
{
    rd[which]++;
    lk = which;
    if
    :: attaching -> mx = hm; low = nBackfill + 1; snap = committed; saltsH = false
    :: else
    fi
}

inline open_read(lk, attaching)
{
    do
#ifdef KILLED
    :: d_step { MAY_RECOVER ->
#ifdef REACH_RECOVERY
            assert(attaching || la == NONE || la == 0);
#endif
            recover()
        }
#endif
    :: d_step { !TORN ->
            hm = mxFrame; archiverHdr = true; slot = (nBackfill == hm -> 0 : NONE)
        }
        if
        :: d_step { slot == 0 && !read0Excl ->
                if
                :: archiverHdr -> got_read(lk, 0, attaching)
                :: else
                fi;
                slot = 0; hm = 0; archiverHdr = false
            }
        :: d_step { slot != 0 || read0Excl -> choose_mark(hm) }
            d_step {
                if
                :: slot != NONE && !marksExcl && mark[slot] <= hm && archiverHdr ->
                    got_read(lk, slot, attaching)
                :: else
                fi;
                slot = 0; hm = 0; archiverHdr = false
            }
        fi;
        if
        :: lk == NONE
        :: lk != NONE -> break
        fi
    :: d_step { MAY_DIE -> die() } goto attach
    od;
    skip /* no break may lead into a d_step */
}

/* A page of a snapshot or catch-up, read through the connection that holds. */
#define READ_RIGHT(p) (READS(p, low, mx) == TRUTH(p, snap))

/* After a gap: the same salts, frames enough, and frame `captured` is the one we have. */
#define CONTINUES                                                                                  \
    (started && !saltsCaptured && mx >= captured && (captured == 0 || wal[captured] == arch))

/* Frames base+1..mx follow the archive's last commit, one by one. */
#define FOLLOWS(i) (base + i > mx || wal[base + i] == arch + i)
#define ALL_FOLLOW (FOLLOWS(1) && FOLLOWS(2) && FOLLOWS(3) && FOLLOWS(4))

/*
 * Something to capture, a mark to get rid of, or a frame on which our lock 0 keeps checkpoints
 * waiting; else we rest on lock 0, or (ROUNDS_AT_REST) go on with rounds that find nothing. On a
 * mark, where nobody gives up, there is a round only if it will not end with the look: a seal in
 * time is nothing to wait for.
 */
#if defined(ROUNDS_AT_REST)
#define WORK true
#elif defined(KEEP_MARK) && defined(NO_TIMEOUT)
#define WORK (la == 0 -> WORK_AT_REST : MORE_THAN_A_LOOK)
#else
#define WORK (la != 0 || WORK_AT_REST)
#endif
#ifdef REST_BY_HEADER
#define WORK_AT_REST (saltsCaptured || mxFrame != captured || TORN)
#else
#define WORK_AT_REST (saltsCaptured || mxFrame != captured || nBackfill != mxFrame || TORN)
#endif

proctype Archiver()
{
    byte hm, slot;      /* open_read */
    byte la = NONE;     /* lock of the connection that holds */
    byte lb = NONE;     /* lock of the connection that takes over */
    byte mx, low, snap; /* the newest snapshot or header read */
    byte fill;          /* nBackfill, read with the header */
    byte base;          /* frames captured before this round */
    bool bad;           /* this round cannot go on where the last one ended */
    bool synced;        /* every frame since the attach has been followed */
#ifdef KEEP_MARK
    bool cut;           /* a segment may be made in this round */
    bool enough;        /* it ends with the look */
    byte must;          /* the commit up to which (e) is asked for */
#endif

attach:
    open_read(la, true);
    if
    :: d_step { MAY_DIE -> die() } goto attach
    :: d_step { MAY_ATTACH ->
#ifndef NO_STRUCK_CHECK
            if
            :: nBackfill > mxFrame && !marksExcl -> over = true /* struck already: alarm */
            :: else
            fi;
#endif
            attached = !over
        }
        /* BUSY: let go, as the holder of the checkpoint lock may wait for our mark. */
    :: d_step { !MAY_ATTACH -> forget() } goto attach
    fi;
    /* The snapshot is opened after the barrier: until then db may run ahead of a mark. */
#ifndef SNAPSHOT_BEFORE_BARRIER
    if
    :: la == 0 || over
    :: la != 0 && !over ->
        open_read(lb, true);
        d_step { unlock_read(la); la = lb; lb = NONE }
    fi;
#endif
    if
    :: over -> goto stop
    :: d_step { MAY_DIE -> die() } goto attach
    :: d_step { !over && CONTINUES ->
#ifdef REACH_PROOF
            assert(captured == 0 || mx == captured);
#endif
            drained = (la == 0 && captured == mx); low = 0; snap = 0; mx = 0
        }
        goto end_follow
#ifdef NO_PROOF
    :: !over && started && saltsCaptured -> drained = true; goto end_follow
#endif
    :: !over && !CONTINUES ->
        /* Snapshot or catch-up: the holder's view, page by page. */
        assert(READ_RIGHT(0));
        if
        :: d_step { MAY_DIE -> die() } goto attach
        :: d_step { true ->
#ifdef REACH_CATCH_UP
                assert(!started);
#endif
                assert(READ_RIGHT(1));
                arch = snap; captured = mx; saltsCaptured = saltsH; started = true;
                drained = (la == 0);
                synced = true; low = 0; snap = 0; mx = 0
            }
        fi
    fi;

end_follow:
    do
    :: d_step { MAY_DIE -> die() } goto attach
    :: WORK ->
#ifdef KEEP_MARK
        if
        :: d_step { true -> must = FOUND; cut = true } /* a segment may be due */
        :: d_step { true -> must = FOUND }
        fi;
        if
        :: LOOKS_FIRST -> look()
        :: !LOOKS_FIRST
        fi;
        if
        :: d_step { enough && bad -> assert(!synced); forget() } goto attach
        :: d_step { enough && !bad -> /* the mark is kept */
#ifdef REACH_KEPT
                assert(mx == captured || nBackfill == 0); /* as in the middle of a log */
#endif
#ifdef KEEP_UNHELD
                unlock_read(la);
#endif
                CLAIM();
                mx = 0; ROUND_ENDS()
            }
            goto end_follow
        :: d_step { !enough -> skip }
#ifndef NO_TIMEOUT
        :: d_step { enough && !bad -> mx = 0; enough = false } /* a seal is due, or 1000 frames */
#endif
        fi;
#endif
#ifdef RELEASE_FIRST
        d_step { unlock_read(la) }
#endif
        open_read(lb, false);
        if
        :: d_step { !TORN -> /* The header, and nBackfill between two equal looks at it. */
                mx = mxFrame; fill = nBackfill; saltsH = false;
                base = (saltsCaptured -> 0 : captured);
                bad = (saltsCaptured && !drained) || mx < base;
#ifdef CAPTURE_PAST_HEADER
                if
                :: mx < COMMITS && wal[mx + 1] == committed + 1 -> mx++
                :: else
                fi
#endif
            }
#ifdef KILLED
        :: d_step { TORN -> unlock_read(lb); ROUND_ENDS() } goto end_follow
#endif
        fi;
        if
        :: d_step { MAY_DIE -> die() } goto attach
        :: d_step { !bad && ALL_FOLLOW ->
                arch = arch + (mx - base); captured = mx; saltsCaptured = saltsH;
                assert(arch <= committed); /* (c) */
                assert(saltsCaptured || captured != mxFrame || arch == committed); /* (b) */
#if defined(BACKFILL_READ_LATER)
                drained = (nBackfill == captured || captured == 0);
#elif defined(EMPTY_NOT_DRAINED)
                drained = (fill == mx);
#else
                drained = (fill == mx || mx == 0);
#endif
                CLAIM();
                synced = true; base = 0; mx = 0; fill = 0; ROUND_ENDS()
            }
#ifdef KEEP_MARK
        :: d_step { !bad && MAY_LEAVE_BEHIND -> /* no segment now: the frames stay, behind marks */
                captured = base; saltsCaptured = saltsH;
                drained = (captured == mx && (fill == mx || mx == 0));
                CLAIM();
                synced = true; base = 0; mx = 0; fill = 0; ROUND_ENDS()
            }
#endif
        :: d_step { bad || !ALL_FOLLOW ->
#ifndef CAPTURE_PAST_HEADER
                assert(!synced); /* (b): after a good round a discontinuity cannot be */
#endif
                forget()
            }
            goto attach
        fi;
hold:
        if
        :: d_step { MAY_DIE -> die() } goto attach
        :: d_step { MAY_LEAVE -> unlock_read(la); la = lb; lb = NONE }
        :: d_step { !MAY_LEAVE && HOLDS_BOTH -> archiverHdr = true }
            if /* the second look, and the same header */
            :: d_step { HOLDS_BOTH && archiverHdr ->
                    archiverHdr = false; unlock_read(la); la = lb; lb = NONE }
            :: d_step { !HOLDS_BOTH || !archiverHdr -> archiverHdr = false } goto hold
            fi
        :: d_step { !MAY_LEAVE && mxFrame == 0 -> unlock_read(lb) } /* nothing to leave for */
        fi
    :: over -> break
    od;
stop:
    skip
}

#endif

init
{
    atomic {
        mark[2] = UNUSED;
#ifdef NO_ARCHIVER
        attached = true;
#else
        run Archiver();
#endif
        run Writer(0);
#if WRITERS == 2
        run Writer(1);
#endif
        run Checkpointer()
    }
}
