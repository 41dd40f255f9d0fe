//! Writes jimbot.v1.rs. Arguments: the folder of the schema, the folder to write to, the files.
fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let proto = words.next().expect("the folder of the schema");
    let out = words.next().expect("the folder to write to");
    let files: Vec<String> = words.collect();
    prost_build::Config::new()
        .out_dir(out)
        .compile_protos(&files, &[proto])
}
