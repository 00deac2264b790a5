//! Everything under TLS: HTTP, and RESP with it.

mod support;

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::{Synap, admin, bad, free_port, good};

struct Files {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let pem = params.self_signed(&key).expect("signed").pem();
        std::fs::write(folder.path().join("ca"), pem).expect("written");
        let files = Self { folder, issuer: Issuer::new(params, key) };
        files.issue("server", vec!["localhost".to_owned()]);
        files.issue("client", Vec::new());
        files
    }

    fn issue(&self, name: &str, hosts: Vec<String>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        text(&self.path(name)).to_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn health_export_and_import_go_under_tls() {
    let files = Files::new();
    let start = |resp_tls: bool| {
        let mut env = vec![
            ("SYNAP_SERVER__TLS__ENABLED", "true".to_owned()),
            ("SYNAP_SERVER__TLS__CERT_PATH", files.text("server.crt")),
            ("SYNAP_SERVER__TLS__KEY_PATH", files.text("server.key")),
            ("SYNAP_SERVER__TLS__CLIENT_CA_PATH", files.text("ca")),
        ];
        if resp_tls {
            env.push(("SYNAP_RESP3__TLS_PORT", free_port().to_string()));
        }
        Synap::start_with(env)
    };
    let server = start(true);
    let run = |server: &Synap, more: &[&str], args: &[&str]| {
        let url = format!("https://localhost:{}", server.http);
        admin(&[&["--json", "--url", &url], more, args].concat())
    };
    let (ca, cert, key) = (files.text("ca"), files.text("client.crt"), files.text("client.key"));
    let known = ["--cacert", &ca, "--cert", &cert, "--key", &key];
    assert_eq!(good(&run(&server, &known, &["health"]))["healthy"], true);
    server.client().ask("SET k v");
    let file = files.path("export");
    let export = ["export", "--output", text(&file)];
    assert_eq!(good(&run(&server, &known, &export))["entries"], 1);
    server.client().ask("DEL k");
    good(&run(&server, &known, &["import", "--input", text(&file)]));
    assert_eq!(server.client().ask("GET k"), "v");
    // Without a certificate, or without believing the server, nothing is said.
    for wrong in [&["--cacert", &ca][..], &["--cert", &cert, "--key", &key]] {
        bad(&run(&server, wrong, &["health"]), 2);
    }
    // What is asked for over https does not go on in the clear.
    let half = start(false);
    let refused = bad(&run(&half, &known, &["stop"]), 2);
    assert!(refused.contains("resp3.tls_port"), "{refused}");
    good(&run(&server, &known, &["stop"]));
}
