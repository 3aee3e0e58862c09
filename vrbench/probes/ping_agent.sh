#!/bin/sh
# The prober inside guests that have no Python: ping's own output, every line stamped with /proc/uptime, as text that
# vrbench.core.pinglog turns into a raw sample log. POSIX sh; nothing else but ping, sleep, tail, head, wc, mkfifo.
#
#     survey "PING" "EVERY COUNT" … | start CONFIG | stop CONFIG | follow LOG OFFSET | clock | facts | remove DIR
#
# CONFIG: a line "PING", a line with the lifetime in seconds, then a line per stream: INDEX FLOW EVERY TARGET, where
# EVERY is seconds for a persistent stream (ping -i) and hundredths of a second for a fresh one.
# The log: UPTIME begin · UPTIME INDEX new · UPTIME INDEX (a line of ping) · UPTIME INDEX one STARTED CODE (what a
# ping of one probe said, on one line) · UPTIME mark (every second) · UPTIME end.

LC_ALL=C
export LC_ALL
home=${0%/*}
log=$home/probe.log

now() { # sets up (seconds since boot) and cs (the same in hundredths)
    read -r up _ </proc/uptime
    cs=${up%.*}${up#*.}
}

birth() { # sets born to when process $1 started; fails when it is gone
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${line##*) }
    born=${20}
    [ "$1" != Z ]
}

living() { # sets pid to the process that wrote $1; fails when it is gone
    { read -r pid was <"$1"; } 2>/dev/null && birth "$pid" && [ "$born" = "$was" ]
}

note_pid() { birth "$$" && echo "$$ $born" >"$1"; }

nap() { sleep 0.1 2>/dev/null || sleep 1; }

use() { # sets ping and applet: what is run by "$ping" $applet, be it a path or a word of BusyBox
    ping=$1 applet=
    if [ "$1" = "busybox ping" ]; then ping=busybox applet=ping; fi
}

survey() { # the first of the intervals that this ping accepts, and the hundredths of a second that COUNT probes took
    use "$1"
    shift
    for each; do
        set -- $each
        now
        from=$cs
        if "$ping" $applet -q -c "$2" -i "$1" 127.0.0.1 >/dev/null 2>&1; then
            now
            sleep 0.01 2>/dev/null && fine=1 || fine=0
            echo "$1 $2 $((cs - from)) $fine"
            return 0
        fi
    done
    "$ping" $applet -c 2 127.0.0.1 >&2
    return 1
}

stamp() { # every line of standard input to the log, with the time
    while read -r line; do
        read -r up _ </proc/uptime
        echo "$up $1 $line"
    done >>"$log"
}

persistent() { # one ping as long as it lives; where an error ends it, another one follows
    mkfifo "$home/$1.fifo"
    while [ ! -e "$home/stopping" ] && kill -0 $$ 2>/dev/null; do
        now
        echo "$up $1 new" >>"$log"
        sh -c 'echo $$ >"$1"; shift; exec "$@" 2>&1' sh "$home/$1.ping" \
            "$ping" $applet $options -w "$lifetime" -i "$2" "$3" >"$home/$1.fifo" &
        stamp "$1" <"$home/$1.fifo"
        wait $!
        [ -e "$home/stopping" ] || nap
    done
}

one() {
    now
    begun=$up
    said=$("$ping" $applet $options -c 1 -W 1 "$2" 2>&1)
    code=$?
    now
    set -f
    echo "$up $1 one $begun $code" $said >>"$log"
}

fresh() { # one ping per probe, at fixed times
    now
    start=$((cs + $2))
    while [ ! -e "$home/stopping" ] && kill -0 $$ 2>/dev/null; do
        now
        rest=$(((start - cs) % $2))
        [ $rest -gt 0 ] || rest=$((rest + $2))
        if [ $rest -lt 10 ]; then rest=0$rest; fi
        if [ $rest -lt 100 ]; then rest=0$rest; fi
        sleep "${rest%??}.${rest#${rest%??}}" 2>/dev/null || sleep 1
        one "$1" "$3" &
    done
    wait
}

end_pings() { # they say their last words
    for each in "$home"/*.ping; do
        { read -r pid <"$each" && read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
        case $name in *ping* | busybox) kill -INT "$pid" ;; esac
    done
}

run() {
    note_pid "$log.pid"
    { read -r ping; read -r lifetime; } <"$1"
    case $ping in iputils:*) options='-n -D -O' ;; *) options= ;; esac
    use "${ping#*:}"
    trap 'asked=1' TERM INT
    asked=
    now
    last=$((cs + lifetime * 100))
    echo "$up begin" >"$log"
    kids=
    while read -r index flow every target; do
        [ -n "$target" ] || continue
        if [ "$flow" = persistent ]; then
            persistent "$index" "$every" "$target" &
        else
            fresh "$index" "$every" "$target" &
        fi
        kids="$kids $!"
    done <"$1"
    while [ -z "$asked" ] && [ "$cs" -lt "$last" ]; do
        sleep 1 &
        wait $!
        now
        echo "$up mark" >>"$log"
    done
    : >"$home/stopping"
    end_pings
    for each in $kids; do wait "$each"; done
    now
    echo "$up end" >>"$log"
}

start() { # detached; returns when the first line of every persistent stream is there
    if living "$log.pid"; then echo "a prober with this log runs already: stop it first"; return 1; fi
    if command -v setsid >/dev/null; then detach=setsid; else detach=; trap '' HUP; fi
    $detach sh "$0" run "$1" </dev/null >/dev/null 2>&1 &
    tries=0
    until [ -s "$log" ] && living "$log.pid"; do
        tries=$((tries + 1))
        if [ $tries -gt 50 ]; then echo "the prober did not start"; return 1; fi
        nap
    done
    echo started
}

stop() {
    tries=0
    while living "$log.pid"; do
        [ $tries -gt 0 ] || kill -TERM "$pid"
        [ $tries -lt 50 ] || kill -KILL "$pid"
        tries=$((tries + 1))
        nap
    done
    end_pings # those of a prober that died
}

follow() { # copies the log from an offset as it grows; 0 after its end, 3 when its prober died without one
    if living "$1.follower.pid"; then kill "$pid"; fi # its connection broke, and it may not know yet
    note_pid "$1.follower.pid"
    at=$2
    while :; do
        alive=0
        living "$1.pid" && alive=1
        size=$(wc -c <"$1")
        if [ "$size" -gt "$at" ]; then
            tail -c +$((at + 1)) "$1" | head -c $((size - at)) || return 1
            at=$((size + 0))
        elif [ $alive = 0 ]; then
            case $(tail -n 1 "$1") in *" end") return 0 ;; *) return 3 ;; esac
        else
            nap
        fi
    done
}

facts() {
    read -r boot </proc/sys/kernel/random/boot_id
    gateway=
    while read -r _ to via _; do
        if [ "$to" = 00000000 ] && [ -z "$gateway" ]; then
            a=${via#??????} b=${via#????} c=${via#??}
            gateway=$((0x$a)).$((0x${b%??})).$((0x${c%????})).$((0x${via%??????}))
        fi
    done </proc/net/route
    now
    printf '{"boot_id": "%s", "python": "", "kernel": "%s", "monotonic_ns": %s0000000, ' "$boot" "$(uname -r)" "$cs"
    printf '"wall_ns": %s000000000, "gateway": "%s"}\n' "$(date +%s)" "$gateway"
}

verb=$1
shift
case $verb in
run | start | survey | follow | facts) "$verb" "$@" ;;
stop) stop ;;
clock) while read -r _; do now; echo "${cs}0000000"; done ;;
remove)
    [ "$1" = "$home" ] || { echo "remove: $1 is not where this agent lives" >&2; exit 1; }
    stop
    rm -rf "$home"
    ;;
*) sed -n '2,/^$/p' "$0" >&2; exit 1 ;;
esac
