# Tables of the programs that speak iptables' language, and one that only bears such a name.
set -e
iptables-nft -A INPUT -i lo -m conntrack --ctstate NEW -j ACCEPT
iptables-nft -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080
iptables-nft -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
iptables-nft -t raw -A PREROUTING -d 10.0.0.1 ! -i br0 -j DROP
ip6tables-nft -A INPUT -p tcp -m limit --limit 3/min -j DROP
ebtables-nft -A FORWARD -p IPv4 --ip-source 192.0.2.1 -j DROP
ebtables-nft -A FORWARD -d 02:00:00:00:00:01 -j ACCEPT
arptables-nft -A INPUT -s 192.0.2.1 -j DROP
nft -f - <<'NFT'
table ip security {
	chain my_input { type filter hook input priority 5; tcp dport 22 accept; }
}
NFT
