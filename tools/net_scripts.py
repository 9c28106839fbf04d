"""What runs in the guests of tools/net-test."""
import suite

PRELUDE = suite.PRELUDE + r"""
host=192.0.2.1 host6=2001:db8::1
up() { # NUMBER [LINK]: that address of the subnet
    ip addr add 192.0.2.$1/24 dev ${2:-eth0}
    ip addr add 2001:db8::$1/64 dev ${2:-eth0} nodad
    ip link set ${2:-eth0} ${MTU:+mtu $MTU} up
}
reach() { # the first answer may take a while
    for try in $(seq 40); do ping -c 1 -W 1 -q $1 >/tmp/ping 2>&1 && return; sleep 0.1; done
    fail "no answer from $1"
}
pings() { # all are answered; ping takes an answer for lost that a busy machine gives late
    for try in 1 2 3; do
        ping -q -c 20 -i 0.03 "$@" >/tmp/ping 2>&1 && grep -q ' 0% packet loss' /tmp/ping && return
    done
    cat /tmp/ping
    fail "ping $*"
}
rate() { # NAME IPERF3'S-ARGUMENTS: sets NAME to the Mbit/s that arrived; lost to UDP's share
    local name=$1 measured
    shift
    iperf3 -f m -t 2 "$@" >/tmp/iperf 2>&1 || { cat /tmp/iperf; fail "iperf3 $*"; }
    measured=$(awk '/receiver/ { for (n = 1; n < NF; n++) if ($(n + 1) == "Mbits/sec") rate = $n }
                    END { print rate + 0 }' /tmp/iperf)
    [ "$measured" != 0 ] || { cat /tmp/iperf; fail "nothing arrived: iperf3 $*"; }
    lost=$(awk '/receiver/ { lost = $(NF - 1) } END { print lost }' /tmp/iperf)
    printf -v $name %s $measured
}
traffic() { # WHAT IPV4 IPV6: all kinds, both ways
    pings $2
    pings $3
    pings -s 5000 $2  # in fragments
    [ -z "${MTU:-}" ] || pings -M do -s $((MTU - 28)) $2
    rate out -c $2
    rate in -c $2 -R
    rate out6 -c $3
    rate in6 -c $3 -R
    rate udp_out -c $2 -u -b 20M
    lost_out=$lost
    rate udp_in -c $2 -u -b 20M -R
    echo "note: $1: Mbit/s out, in: TCP $out, $in; over IPv6 $out6, $in6;" \
        "UDP at 20: $udp_out, $udp_in; lost $lost_out, $lost"
}
no_bad_sums() { # by the kernel's own counts of all that came in
    local bad=$(awk '/^(Tcp|Udp|Icmp):/ && !($1 in head) { head[$1] = $0; next }
        /^(Tcp|Udp|Icmp):/ { split(head[$1], name); for (n in name) if (name[n] == "InCsumErrors")
            bad += $n }
        /^(Udp|Icmp)6InCsumErrors/ { bad += $2 }
        END { print bad + 0 }' /proc/net/snmp /proc/net/snmp6)
    expect "bad checksums that the kernel found" 0 $bad
}
sniff() { # in | inout
    ethtool -K eth0 gro off  # its packets are not whole any more when tcpdump sees them
    tcpdump -Z root -i eth0 -Q $1 -U -c 3000 -w /tmp/sniffed >/tmp/tcpdump 2>&1 &
    sniffer=$!
    until grep -q 'listening on' /tmp/tcpdump; do kill -0 $sniffer || fail tcpdump; sleep 0.1; done
}
sniffed() {
    kill -INT $sniffer 2>/dev/null || true
    wait $sniffer || true
    tcpdump -Z root -nn -vv -r /tmp/sniffed >/tmp/shown 2>/tmp/tcpdump ||
        fail "tcpdump: $(tail -n 1 /tmp/tcpdump)"
    local good=$(grep -cE '\(correct\)|sum ok' /tmp/shown || true)
    if grep -iE 'incorrect|bad (udp |icmp6 )?cksum|wrong icmp cksum' /tmp/shown >/tmp/bad; then
        head -n 5 /tmp/bad
        fail "tcpdump saw $(wc -l </tmp/bad) bad checksums"
    fi
    [ $good -ge 100 ] || fail "tcpdump saw only $good checksums"
    echo "note: tcpdump saw $good good checksums, none bad"
}
await() { until ask has $1; do sleep 0.3; done; }
features() { # bit=value, of what device and driver have agreed on
    for wanted in ${FEATURES:-}; do
        expect "feature bit ${wanted%=*}" ${wanted#*=} \
            "$(cut -c$((${wanted%=*} + 1)) /sys/class/net/eth0/device/features)"
    done
}
"""

TAP = r"""
features
[ -z "${MTU:-}" ] || expect MTU $MTU "$(cat /sys/class/net/eth0/mtu)"  # before anybody sets it
up 2
reach $host
traffic "${ABOUT:-a TAP}" $host $host6
no_bad_sums
"""

PAIRS = r"""
packets() { ethtool -S eth0 | awk -v name="$1_queue_$2_packets:" '$1 == name { print $2 }'; }
up 2
reach $host
expect "queue pairs" 2 "$(ls -d /sys/class/net/eth0/queues/tx-* | wc -l)"
for pairs in 1 2; do
    ethtool -L eth0 combined $pairs
    for kind in rx tx; do for q in 0 1; do before[$q]=$(packets $kind $q); done
        eval "old_$kind=(${before[*]})"
    done
    rate out -c $host -P 4
    rate in -c $host -P 4 -R
    for q in 0 1; do
        tx[$q]=$(($(packets tx $q) - old_tx[q]))
        rx[$q]=$(($(packets rx $q) - old_rx[q]))
    done
    echo "note: $pairs in use: Mbit/s out $out, in $in; packets by queue: tx ${tx[*]}, rx ${rx[*]}"
    for q in 0 1; do
        if [ $q -lt $pairs ]; then
            [ ${tx[q]} -gt 0 ] && [ ${rx[q]} -gt 0 ] || fail "pair $q is idle"
        else
            [ ${tx[q]} -eq 0 ] || fail "pair $q was used"
        fi
    done
done
pings $host
no_bad_sums
"""

TAP_DELETED = r"""
up 2
reach $host
pings $host
ask tap-delete
! ping -c 2 -W 1 -q $host || fail "an answer without a TAP"
ask tap-restore
ip neigh flush dev eth0  # the new one has another address
reach $host
reach $host6
traffic "a TAP that has come back" $host $host6
"""

# One guest serves, the other changes its offloads and is reset.
LEFT = r"""
up 2
iperf3 --server >/tmp/server 2>&1 &
ask put left up
if [ -z "${PLAIN:-}" ]; then
    await right-is-plain
    sniff in  # from here on the other guest sends whole packets only
    ask put sniffing yes
    await right-has-sent
    sniffed
fi
await over
no_bad_sums
"""

RIGHT = r"""
up 3
await left
reach 192.0.2.2
if [ $PHASE = 2 ]; then
    traffic "after its reset" 192.0.2.2 2001:db8::2
elif [ -n "${PLAIN:-}" ]; then
    sniff inout  # a packet that is not whole must not reach this guest
    traffic "no offloads in one guest" 192.0.2.2 2001:db8::2
    sniffed
else
    traffic "all offloads" 192.0.2.2 2001:db8::2
    ethtool -K eth0 tx off sg off tso off gso off
    ask put right-is-plain yes
    await sniffing
    traffic "off by ethtool in one guest" 192.0.2.2 2001:db8::2
    ask put right-has-sent yes
    ping -f -q -s 1400 192.0.2.2 >/dev/null 2>&1 &  # packets both ways while it is reset
    ping -c 2 192.0.2.2 || true
    reset-machine
fi
no_bad_sums
ask put over yes
"""

# One guest is in VLAN 10 and knows of no tags; the other sees that VLAN with tags, and another
# without.
ACCESS = r"""
up 2
ip addr add 198.51.100.2/24 dev eth0
iperf3 --server >/tmp/server 2>&1 &
ask put left up
await over
no_bad_sums
"""

TRUNK = r"""
modprobe 8021q
ip link set eth0 up
ip addr add 198.51.100.3/24 dev eth0
ip link add link eth0 name eth0.10 type vlan id 10
up 3 eth0.10
await left
reach 192.0.2.2
traffic "with a tag" 192.0.2.2 2001:db8::2
! ping -c 2 -W 1 -q 198.51.100.2 || fail "an answer from another VLAN"
no_bad_sums
ask put over yes
"""

PASST = r"""
cat >/tmp/lease <<'END'
#!/bin/sh
[ "$1" != deconfig ] || ip link set $interface up
[ "$1" != bound ] || { ip addr add $ip/$mask dev $interface; ip route add default via $router; }
END
chmod +x /tmp/lease
fetch() { timeout 30 wget -q -O - http://$host:8000/blob | sha256sum | cut -d' ' -f1; }
udhcpc -i eth0 -n -q -s /tmp/lease || fail "no lease"
expect address 192.0.2.15/24 "$(ip -o -4 addr show dev eth0 | awk '{ print $4 }')"
expect "sum of what was fetched" "$(ask get sum)" "$(fetch)"
rate out -c $host
rate in -c $host -R
echo "note: passt: TCP Mbit/s out $out, in $in"
ask put fetched yes
await again
for try in $(seq 20); do [ "$(fetch)" = "$(ask get sum)" ] && exit 0; sleep 0.5; done
fail "nothing can be fetched after passt has come back"
"""

RATIOS = r"""
up 2
ip addr add 198.51.100.2/24 dev eth1
ip link set eth1 up
reach $host
reach 198.51.100.1
for round in 1 2 3 4; do
    for way in out in; do
        [ $way = in ] && reversed=-R || reversed=
        rate ours -c $host $reversed
        rate theirs -c 198.51.100.1 $reversed
        echo "rates $way $ours $theirs"
    done
done
"""
