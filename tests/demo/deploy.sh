#!/bin/sh
# A shop, deployed as people do: UFW denies what comes in but 22 and the shop's 8080, all containers share one flat
# network, the database and a metrics port are published "for a moment", and an old network was never cleaned up.
set -eu
image=$1

ufw default deny incoming >/dev/null
ufw allow 22/tcp >/dev/null
ufw allow 8080/tcp >/dev/null
ufw --force enable >/dev/null

serve() { # serve NAME PORT PAGE OPTION...: a container whose web server says PAGE on PORT
  name=$1 port=$2 page=$3
  shift 3
  docker run --detach --init --name "$name" --restart unless-stopped "$@" "$image" \
    sh -c 'echo "$1" >/www/index.html && exec httpd -f -p "$0" -h /www' "$port" "$page" >/dev/null
}

docker network create shop >/dev/null
serve shop-db 5432 "orders: alice 3, bob 5" --network shop --network-alias db --publish 5432:5432
serve shop-api 8080 "api of the shop" --network shop --network-alias api
serve shop-web 80 "welcome to the shop" --network shop --network-alias web --publish 8080:80 --publish 9090:80

# The shop's former network: a running, a stopped and a foreign container hold it.
docker network create old-shop >/dev/null
docker network connect old-shop shop-api
docker create --name shop-report --network shop "$image" true >/dev/null
docker network connect old-shop shop-report
docker start --attach shop-report
docker network create --label com.docker.compose.project=blog blog_default >/dev/null
serve blog-web 80 "a blog" --network blog_default --label com.docker.compose.project=blog
docker network connect old-shop blog-web
