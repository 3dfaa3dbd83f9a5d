// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package servingcert issues and rotates the serving certificate of this server, and keeps spec.caBundle of its APIService
// current, so that nobody has to and nothing expires.
//
// One Secret has all of it, so that every change is atomic and all replicas agree: each replica reads the Secret every few
// seconds, serves the certificate that it holds, and writes the next content when it is due, with the resourceVersion that it has
// read as precondition.
//
//	tls.crt, tls.key   the serving certificate, 90 days, issued again after 60
//	ca.crt             the CAs that the host is to trust: what spec.caBundle of the APIService becomes
//	ca.key             the key of the CA that signs, 10 years
//	next-ca.key        the key of the CA that follows it, made after 6 years and 8 months
//
// In a rotation, no replica ever serves a certificate that the host does not trust. A new CA is added to ca.crt first, while the old one
// still signs. Only after the APIService has had it for a while does it sign, and the key of the old one is dropped. The old one
// itself stays in ca.crt until every replica must have read the new certificate.
//
// What can't be used is issued again: a certificate that has expired, or content that is damaged. A Secret that is deleted, as after
// a leak of the key, is made with a new CA, and the old one is not trusted any more. The Secret of earlier manifests, with a
// certificate but no key of a CA, goes on to be served until the host trusts the new CA.
//
// rotation.go is the pure core: content, what the host trusts, and now → the next content. The package imports nothing of ours but
// package aggregation.
package servingcert
