17q"\/
*Jolly Joker‚+
[1,Ú¼~:ÅDz
strategy[]z
model[]