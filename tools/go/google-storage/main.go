// Command google-storage is fake-gcs-server behind what it lacks of Google Cloud Storage and the client of the backups needs: the login
// by a service account's signature, the XML API's uploads, whole and in parts, and its answer for a bucket that there is not.
package main

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// The one that it takes XML requests for.
const host = "storage.googleapis.com"

type server struct {
	fake    *fakestorage.Server
	key     *rsa.PublicKey
	lock    sync.Mutex
	begun   int
	uploads map[string]map[int][]byte
}

type completion struct {
	Parts []struct {
		PartNumber int
		ETag       string
	} `xml:"Part"`
}

func (server *server) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	bucket, escaped, _ := strings.Cut(strings.TrimPrefix(request.URL.EscapedPath(), "/"), "/")
	object, err := url.PathUnescape(escaped)
	switch {
	case err != nil:
		refuse(response, http.StatusBadRequest, "InvalidURI")
	case !server.letsIn(request.Header.Get("Authorization")):
		refuse(response, http.StatusUnauthorized, "AuthenticationRequired")
	case !server.has(bucket):
		refuse(response, http.StatusNotFound, "NoSuchBucket")
	case request.Method == http.MethodPut || request.Method == http.MethodPost || request.URL.Query().Has("uploadId"):
		server.upload(response, request, bucket, object)
	default:
		// Whichever address it was reached by.
		request.Host = host
		server.fake.HTTPHandler().ServeHTTP(response, request)
	}
}

// A service account signs its own token; Google verifies it with the public half of its key.
func (server *server) letsIn(authorization string) bool {
	signed, signature := authorization, ""
	if at := strings.LastIndex(authorization, "."); at >= 0 {
		signed, signature = authorization[:at], authorization[at+1:]
	}
	decoded, err := base64.RawURLEncoding.DecodeString(signature)
	digest := sha256.Sum256([]byte(strings.TrimPrefix(signed, "Bearer ")))
	return err == nil && rsa.VerifyPKCS1v15(server.key, crypto.SHA256, digest[:], decoded) == nil
}

func (server *server) has(bucket string) bool {
	_, err := server.fake.Backend().GetBucket(bucket)
	return err == nil
}

func (server *server) upload(response http.ResponseWriter, request *http.Request, bucket, object string) {
	query := request.URL.Query()
	id := query.Get("uploadId")
	// What ends before the length that was announced is an error, and leaves nothing.
	content, err := io.ReadAll(request.Body)
	server.lock.Lock()
	defer server.lock.Unlock()
	parts, known := server.uploads[id]
	switch {
	case err != nil:
		refuse(response, http.StatusBadRequest, "IncompleteBody")
	case query.Has("uploads"):
		server.begun++
		id = fmt.Sprintf("upload-%d", server.begun)
		server.uploads[id] = map[int][]byte{}
		fmt.Fprintf(response, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case id == "":
		server.store(response, bucket, object, content)
	case !known:
		refuse(response, http.StatusNotFound, "NoSuchUpload")
	case request.Method == http.MethodDelete:
		delete(server.uploads, id)
		response.WriteHeader(http.StatusNoContent)
	case request.Method == http.MethodPut:
		var number int
		if _, err := fmt.Sscan(query.Get("partNumber"), &number); err != nil {
			refuse(response, http.StatusBadRequest, "InvalidArgument")
			return
		}
		parts[number] = content
		response.Header().Set("ETag", tag(content))
	default:
		server.complete(response, bucket, object, content, parts)
	}
}

func (server *server) complete(response http.ResponseWriter, bucket, object string, body []byte, parts map[int][]byte) {
	var asked completion
	if err := xml.Unmarshal(body, &asked); err != nil {
		refuse(response, http.StatusBadRequest, "MalformedCompleteMultipartUploadRequest")
		return
	}
	var content bytes.Buffer
	for _, part := range asked.Parts {
		if there, ok := parts[part.PartNumber]; !ok || tag(there) != part.ETag {
			refuse(response, http.StatusBadRequest, "InvalidPart")
			return
		}
		content.Write(parts[part.PartNumber])
	}
	server.store(response, bucket, object, content.Bytes())
	fmt.Fprintf(response, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", tag(content.Bytes()))
}

func (server *server) store(response http.ResponseWriter, bucket, object string, content []byte) {
	server.fake.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: object}, Content: content})
	response.Header().Set("ETag", tag(content))
}

func tag(content []byte) string { return fmt.Sprintf("\"%x\"", md5.Sum(content)) }

func refuse(response http.ResponseWriter, status int, code string) {
	response.WriteHeader(status)
	fmt.Fprintf(response, "<Error><Code>%s</Code></Error>", code)
}

func readKey(file string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s has no RSA key", file)
	}
	return public, nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:4443", "address to answer at")
	bucket := flag.String("bucket", "bucket", "the one bucket that there is")
	keyFile := flag.String("key-file", "", "public key in PEM of the one service account that is let in")
	flag.Parse()
	key, err := readKey(*keyFile)
	if err != nil {
		log.Fatal(err)
	}
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: host})
	if err != nil {
		log.Fatal(err)
	}
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: *bucket})
	log.Fatal(http.ListenAndServe(*listen, &server{fake: fake, key: key, uploads: map[string]map[int][]byte{}}))
}
