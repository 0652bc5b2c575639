use std::os::unix::fs::MetadataExt;

use super::*;

fn opened() -> (tempfile::TempDir, AcmeStorage) {
    let directory = tempfile::tempdir().unwrap();
    let storage = AcmeStorage::open(&directory.path().join("a/acme")).unwrap();
    (directory, storage)
}

fn pair(names: &[&str]) -> (String, String) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}

const AUTHORITY_URL: &str = "https://ca.example/directory";

#[test]
fn files_and_directory_are_private_whatever_they_were() {
    let (directory, storage) = opened();
    let path = directory.path().join("a/acme");
    let (chain, key) = pair(&["meet.example.org"]);
    storage
        .write_certificate(AUTHORITY_URL, &chain, &key)
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let file = AcmeStorage::certificate_file(&path);
    assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    AcmeStorage::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    let names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["certificate.pem"], "nothing is left over");
}

#[test]
fn a_certificate_is_used_for_its_authority_and_names_only() {
    let (directory, storage) = opened();
    assert_eq!(storage.certificate(), None);
    let (chain, key) = pair(&["meet.example.org", "*.example.net"]);
    storage
        .write_certificate(AUTHORITY_URL, &chain, &key)
        .unwrap();
    let stored = storage.certificate().unwrap();
    let other = "https://staging.example/directory";
    for (authority, names, expected) in [
        (AUTHORITY_URL, &["meet.example.org"][..], true),
        (AUTHORITY_URL, &["meet.example.org", "a.example.net"], true),
        (AUTHORITY_URL, &["meet.example.org", "b.example.org"], false),
        (other, &["meet.example.org"], false),
    ] {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            stored.is_of(authority, &names),
            expected,
            "{authority} {names:?}"
        );
    }
    let file = AcmeStorage::certificate_file(&directory.path().join("a/acme"));
    let whole = fs::read_to_string(&file).unwrap();
    for broken in [
        String::new(),
        whole.replace("Issued by", "From"),
        format!("Issued by {AUTHORITY_URL}\n{chain}"),
        format!("Issued by {AUTHORITY_URL}\n{key}"),
        whole.replace("MII", "???"),
    ] {
        fs::write(&file, &broken).unwrap();
        assert_eq!(storage.certificate(), None, "{broken}");
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(storage.certificate(), Some(stored));
}

#[test]
fn one_of_two_processes_may_order_and_the_lock_names_it() {
    let (_directory, storage) = opened();
    let now = Timestamp::from_unix(1_800_000_000);
    let lock = storage.try_lock(now).unwrap().unwrap();
    assert!(storage.try_lock(now).unwrap().is_none());
    let owner = storage.lock_owner();
    let expected = format!("process {}, since 2027-01-15T08:00:00Z", std::process::id());
    assert!(owner.ends_with(&expected), "{owner}");
    drop(lock);
    assert_eq!(storage.lock_owner(), "unknown");
    assert!(storage.try_lock(now).unwrap().is_some());
}

#[test]
fn challenges_are_shared_until_they_are_withdrawn() {
    let (_directory, storage) = opened();
    let other_replica = storage.clone();
    assert!(other_replica.challenges().is_empty());
    let challenge = SharedChallenge {
        name: "meet.example.org".to_owned(),
        token: "token".to_owned(),
        key_authorization: "token.thumbprint".to_owned(),
    };
    storage
        .write_challenges(std::slice::from_ref(&challenge))
        .unwrap();
    assert_eq!(other_replica.challenges(), [challenge]);
    storage.write_challenges(&[]).unwrap();
    storage.write_challenges(&[]).unwrap();
    assert!(other_replica.challenges().is_empty());
}

#[test]
fn a_storage_that_cannot_be_written_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = AcmeStorage::open(&file).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot create ") && error.ends_with("/file"),
        "{error}"
    );
}
