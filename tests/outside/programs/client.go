// What programs do with golang.org/x/net/proxy: client PROXY_URL TARGET TEXT
// dials TARGET through the proxy, sends TEXT, and prints as many bytes of what comes back.
package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"

	"golang.org/x/net/proxy"
)

func main() {
	if err := exchange(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exchange(proxyURL, target, text string) error {
	where, err := url.Parse(proxyURL)
	if err != nil {
		return err
	}
	dialer, err := proxy.FromURL(where, proxy.Direct)
	if err != nil {
		return err
	}
	connection, err := dialer.(proxy.ContextDialer).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err = io.WriteString(connection, text); err != nil {
		return err
	}
	_, err = io.CopyN(os.Stdout, connection, int64(len(text)))
	return err
}
